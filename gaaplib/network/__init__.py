"""Keras parts of the models: backbones, layers, losses, devices. Nothing here reads images."""
