"""Every score, with its interval.

scores        accuracy and its relatives, by product
confusion     which category is taken for which
selective     how much can be filed at which accuracy
significance  is the difference between two classifiers real?
"""
