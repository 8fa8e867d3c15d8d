"""A store, for other tools.

features   parquet, CSV, safetensors, AnnData and friends
"""
