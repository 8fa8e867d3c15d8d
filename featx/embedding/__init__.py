"""Photos to features, wherever features are needed.

single       the features of one photo
reopen       the backbone that made a store
transformer  the same as a scikit-learn transformer
"""
