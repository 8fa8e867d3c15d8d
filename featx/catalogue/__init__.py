"""The photos that exist, and the metadata of each.

items     a photo, and the catalogue of all
reading   folders and tables -> catalogue
again     the catalogue of a store, read once more as before
tables    CSV, JSON lines and Parquet, cell by cell
own_columns  the columns of the user's own table
photos_by_sku  photos -> rows of a table, by their names
suffixes  which files are photos
"""
