"""Pages and figures for people to look at.

quantities  percents, sizes, times and counts as people read them
pages       templates filled in, pages written
gallery     rows of answers
findings    duplicates and doubtful labels, as pages
frames      rows for pandas and polars
progress    how far a long call is
notebook    results as tables with thumbnails, in a notebook
"""
