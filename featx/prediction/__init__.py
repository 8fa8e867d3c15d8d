"""Photos in, categories with confidence out.

predict       photos -> predictions
sort_folders  predictions -> folders
suggest       which photos to label next
"""
