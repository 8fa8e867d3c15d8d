"""The photos that exist, and the metadata of each.

reading         a folder, a table or a list of paths -> catalogue
again           the catalogue of a store, read once more as before
folders         the files below a folder
patterns        how file names are read
path_layout     paths -> ids, labels, products, splits
tables          CSV, JSON lines and Parquet, cell by cell
table_columns   which column holds what
located_photos  the photos that a table names
photos_by_sku   photos -> rows of a table, by their names
table_items     rows -> items
photo_lists     a long list of photos, read part by part
items           a photo, and the catalogue of all
listing         every photo of a source -> a table
own_columns     the columns of the user's own table
suffixes        which files are photos
"""
