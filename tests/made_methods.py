"""Methods with four identities, and a batch of random images for them."""

import numpy as np

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS

# Six rows in the last map of a method with a last stride of 1, as six stripes need.
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 96, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3], "int32")


def make(**changes):
    config = RunConfig("smoke", **{"height": 96, **changes})
    return METHODS[config.method](config, 4)


def predict(method):
    """What the model gives for the images, as arrays."""
    return {name: np.asarray(array) for name, array in method.model.predict_on_batch(IMAGES).items()}


def batch_of(method, seed=0):
    """The inputs of the training model for the images."""
    return {**dict.fromkeys(method.views, IMAGES), **method.batch_inputs(LABELS, np.random.default_rng(seed))}


def copy_weights(source, target):
    """Copy the weights of the same names from one model to another; return the names that are left in the source."""
    own = {weight.path: weight for weight in source.weights}
    for weight in target.weights:
        weight.assign(np.asarray(own.pop(weight.path)))
    return set(own)
