"""Photos to features, wherever features are needed.

stream       photos to features, the one way every command goes
single       the features of one photo
reopen       the backbone that made a store
transformer  the same as a scikit-learn transformer
"""
