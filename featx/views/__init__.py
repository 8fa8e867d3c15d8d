"""Pages and figures for people to look at.

quantities  percents, sizes, times and counts as people read them
block_choices  which parts of a joined backbone were taken
pages       templates filled in, pages written
gallery     rows of answers
sheet       photos to decide on, with a key for each decision
frames      rows for pandas and polars
progress    how far a long call is
notebook    results as tables with thumbnails, in a notebook
"""
