"""The study of the paper: its runs, tables, figures and claims."""
