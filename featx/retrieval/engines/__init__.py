"""Approximate search for large catalogues.

graph           what a graph of neighbours is asked
usearch_engine  usearch's graph
"""
