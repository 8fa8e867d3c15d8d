"""Pages and figures for people to look at.

quantities  percents, sizes, times and counts as people read them
gallery     rows of answers
findings    duplicates and doubtful labels, as tables and pages
"""
