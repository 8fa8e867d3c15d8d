"""Every score, with its interval; NumPy alone.

scores        accuracy and its relatives, photo by photo, with intervals by product
confusion     which category is taken for which
selective     how much can be filed without a person, at which accuracy, above which confidence
assessment    all of it for one set of answers: what fit, compare and evaluate report
recall        from which probability a category that must not be missed is flagged
block_choice  which blocks of joined features serve an end best
significance  is the difference between two classifiers real?
"""
