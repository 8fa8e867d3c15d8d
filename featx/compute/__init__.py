"""Work shared by every room that does arithmetic.

threads    how many cores, and how many threads a piece of work deserves
vectors    unit rows, half precision, blocked products
"""
