"""A classifier as a folder that runs without featx.

nodes      a growing list of ONNX nodes
graph      the arrays of a classifier as such nodes
model      networks and classifier in one graph, with everything a runner must know in its metadata
golden     drawn photos with the answers of featx
card       the page that travels along
folder     all of it written aside, compared with featx, then renamed into place
runner/    the files that are copied: run and photo, which import nothing of featx
"""
