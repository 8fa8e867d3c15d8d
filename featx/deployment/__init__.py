"""A classifier as a folder that runs without featx.

nodes      a growing list of ONNX nodes
graph      the arrays of a classifier as such nodes
answers    its calibrated probabilities, by the photo or by photo and columns
columns    what turns titles and prices into numbers, as files
model      networks and classifier in one graph, with everything a runner must know in its metadata
int8, openvino_form    the same graph with integers in its convolutions, and in OpenVINO's own form
golden     drawn photos with the answers of featx
comparison the program of a deployment beside featx
agreement  how far the graph of integers agrees
browser_columns            what columns become in a browser
browser_page, browser/    a page that classifies in a browser
card       the page that travels along
folder     all of it written aside, compared with featx, then renamed into place
runner/    the files that are copied: run, engine, photo and check, which import nothing of featx
"""
