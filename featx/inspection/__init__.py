"""Does a photo show the product as it should look? Compared patch by patch with good photos.

patches    a photo → a descriptor of each patch, from the maps inside a network
bank       the patches of good photos: a coreset that stands for all of them, and the limit of what is usual
learning   good photos → what is usual
kept       what was learned, in a file that is refused when it is stale
inspector  a photo → how unlike the good ones it is, and where
page       inspected photos in one file
"""
