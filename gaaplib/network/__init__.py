"""Keras parts of the models, without any data."""
