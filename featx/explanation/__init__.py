"""Why this category and not the next: what in a photo moved the score.

margin       how far one category is ahead of another, as a sum over the numbers of a row
question     the same by any classifier, beside the columns of a photo
words        the words of those columns that spoke
regions      the share of each part of the photo in that sum
fine         the same measured on the photo itself, part by part
border       does the border of the photo decide?
looking      a photo with what its networks saw
covering     what must be covered for another answer
explainer    a photo → categories, parts, regions, and the nearest training photos
resemblance  two photos → what makes them alike, and which regions match
overlay      the regions drawn over the photo
page         explanations of several photos in one file
"""
