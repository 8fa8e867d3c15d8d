"""Which photos exist, and what is known of each.

items     a photo, and the catalogue of all
reading   folders and tables -> catalogue
again     the catalogue of a store, read once more as before
tables    CSV, JSON lines and Parquet, cell by cell
own_columns  what a person's own table says of each photo
photos_by_sku  photos -> rows of a table, by their names
suffixes  which files are photos
"""
