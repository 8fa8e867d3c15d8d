"""Work shared by every room that does arithmetic.

threads    how many cores, and how many threads a piece of work deserves
machine    threads, GPU, disk and versions, for `featx info`
memory     what large arrays leave behind
vectors    unit rows, blocked cosines, the nearest rows, half precision
pairs_pace  how long comparing all rows with each other takes here
centres    where rows gather
left_out   what a regression on the others says of each photo
hashes     numbers for texts
graphs     rows that are linked, and the groups they form
"""
