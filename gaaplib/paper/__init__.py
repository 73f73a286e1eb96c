"""The reproduction of the GAAP paper: planned runs, tables, figures and claims."""
