"""Runs networks without graphs: for a few steps, tracing a graph takes longer than the steps themselves."""

from contextlib import contextmanager

import keras


@contextmanager
def eager():
    """Within it, TensorFlow runs every function operation by operation; on other backends nothing changes."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
