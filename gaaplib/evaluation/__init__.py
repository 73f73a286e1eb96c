"""Scores and statistics of embeddings, in NumPy alone."""
