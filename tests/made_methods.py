"""Methods with four identities, and a batch of random images for them."""

import numpy as np

from gaaplib.config import RunConfig
from gaaplib.datasets.inputs import Inputs, as_arrays
from gaaplib.methods import METHODS

# Six rows in the last map of a method with a last stride of 1, as six stripes need.
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 96, 32, 3), dtype=np.uint8)
# Six points of each person on the image, and eleven that are not seen.
POINTS = np.zeros((8, 17, 3), "float32")
POINTS[:, 5:11] = np.random.default_rng(1).random((8, 6, 3)) * [32, 96, 0.5] + [0, 0, 0.5]
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3], "int32")


SMALL = {"mebnet": "others=resnet18 clusters=20"}
"""Options with which a method is fast."""


def make(**changes):
    own = {"options": SMALL.get(changes.get("method"))}
    config = RunConfig("smoke", **{"height": 96, **own, **changes})
    return METHODS[config.method](config, 4)


def seen(method, images=IMAGES, points=POINTS):
    """What the model sees of images: of a method that needs key points, these, too."""
    return Inputs(images, {"keypoints": points[: len(images)]}) if isinstance(method.model.input, dict) else images


def predict(method, *given):
    """What the model gives for the images, as arrays."""
    found = method.model.predict_on_batch(as_arrays(seen(method, *given), method.model))
    return {name: np.asarray(array) for name, array in found.items()}


def batch_of(method, seed=0):
    """The inputs of the training model for the images."""
    beside = getattr(seen(method), "beside", {})
    return {**dict.fromkeys(method.views, IMAGES), **beside, **method.batch_inputs(LABELS, np.random.default_rng(seed))}


def copy_weights(source, target):
    """Copy the weights of the same names from one model to another; return the names that are left in the source."""
    own = {weight.path: weight for weight in source.weights}
    for weight in target.weights:
        weight.assign(np.asarray(own.pop(weight.path)))
    return set(own)
