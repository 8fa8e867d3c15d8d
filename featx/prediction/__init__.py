"""Photos in, categories with confidence out.

review        which answers need a person
predict       photos -> predictions
sort_folders  predictions -> folders
suggest       which photos to label next
sheets        predictions and suggestions as pages to decide on
update        all of it in one nightly run
"""
