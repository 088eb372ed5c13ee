"""
The CSV files that the command line reads.

`tables` turns bytes into rows, `cells` says what a column holds, `dates` reads
days and moments, and each other module describes one kind of file.
"""
