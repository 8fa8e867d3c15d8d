"""Titles, descriptions, prices and read text beside the features of a photo.

cells     a cell: whether it says anything, and its number
values    the columns of rows: which there are, and what each is
words     a text -> its words and pieces of words
read_lines  what was read off a photo: how much each line counts
of_store  those of a store: its table's, and the text read off its photos
encoders  columns -> numbers
learning  how they become numbers, learned from the rows of a fold
fusion    the answers of a photo and of its columns, as one
trials    which way of joining them is best, in the same folds; else the photo alone
held_out  the same question on held-out photos, where there are enough
use       whether and how a classifier counts them, from its training set to its card
records   a fusion as a typed header and arrays, and back
leaks     texts that contain the name of their category
category_words  the words that speak for each category
"""
