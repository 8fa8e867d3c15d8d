"""How rows are compared with a query.

exact           all of them, by NumPy
base            what an approximate engine does: propose likely rows, which are then compared exactly
usearch_engine  usearch's graph
lance_engine    Lance's lists of compressed vectors, in a folder
servers         what every server of vectors does; postgres (pgvector) and qdrant are two of them
pushdown        conditions that an engine decides itself
"""
