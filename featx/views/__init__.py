"""Pages of thumbnails for people to look at.

gallery    rows of answers
findings   duplicates and doubtful labels, as tables and pages
"""
