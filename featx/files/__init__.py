"""Files read with caution and written atomically.

regular      open regular files only
atomic       write under a temporary name, then rename
locks        one writer at a time
caches       arrays that can be computed again
digested     bytes that carry their own SHA-256
mapped       headed binary files, memory-mapped
cells        spreadsheet-safe cells
spreadsheet  tables that spreadsheets open safely
text_tables  encodings and separators of tables that people save
markdown     names in Markdown
"""
