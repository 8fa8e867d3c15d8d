"""The network cut in two: its front is run once for every view, its tail is trained.

front        the front of a network as an encoder, so that the one stream of photos runs it
activations  the output at the cut, kept on disk for every view of every photo
fill         views of photos through an encoder, once
tail         the part that is trained, and its head from a linear discriminant analysis
processes    several processes that train one network
"""
