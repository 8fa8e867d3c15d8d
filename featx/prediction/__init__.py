"""Photos in, categories with confidence out.

review        which answers need a person
predict       photos -> predictions
sort_folders  predictions -> folders
suggest       which photos to label next
"""
