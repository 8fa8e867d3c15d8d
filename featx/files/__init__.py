"""Files read with suspicion and written whole.

regular      open only what is a regular file
atomic       write aside, then rename
locks        one writer at a time
caches       arrays that can be computed again
mapped       headed binary files, memory-mapped
cells        spreadsheet-safe cells
spreadsheet  tables that spreadsheets open safely
markdown     names in Markdown
"""
