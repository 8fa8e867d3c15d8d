"""What runs a network: torch, OpenVINO or ONNX Runtime, in float32, bfloat16 or int8.

base              a network as engines take it, and what an engine promises
choosing          which engine runs this network here
torch_engine, openvino_engine, onnx_engine    one engine each
conversion_cache  converted networks, kept on disk
int8, int8_images quantisation, and the images it is calibrated on
no_telemetry      libraries that report home are kept from it
"""
