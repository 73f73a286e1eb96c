"""Networks of these tests run a few steps each, for which tracing a graph would take longer than the steps."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _no_graphs():
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
