"""Photos in, categories with confidence out.

review        which answers need a person
item_columns  the columns of each photo that a classifier counts
predict       photos -> predictions
sort_folders  predictions -> folders
suggest       which photos to label next
sheets        predictions and suggestions as pages to decide on
update        all of it in one nightly run
"""
