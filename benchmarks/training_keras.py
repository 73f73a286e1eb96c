"""gaaplib as a contender of `training.py`: `python training_keras.py '{"config": {...}, ...}'`."""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from contender import CLASSES, drawn, serve

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.network import layers
from gaaplib.paper import costs
from gaaplib.training import fit


def main(settings):
    """Build the model of the settings and serve its training epochs, its batches or its embeddings."""
    for name in settings.get("stock", ()):  # Use Keras' own layer instead of our replacement.
        setattr(layers, name, getattr(keras.optimizers if name == "Adam" else keras.layers, name))
    config = RunConfig(**settings["config"] | {"precision": settings["precision"]})
    keras.config.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(0)
    layers.make_deterministic()
    method = METHODS["gaap"](config, CLASSES)
    images, labels = drawn(settings["images"], config.height, config.width)
    # Three products of two operations each: forward, and backward to the inputs and to the kernels.
    operations = 6 * costs.multiply_adds(method.model)
    serve(WORK[settings["work"]](method, images, labels, settings), settings.get("keep"), operations=operations)


def _training(method, images, labels, settings):
    batches = fit._training_batches(method, images, np.arange(len(images)), labels, 0)
    fit._compile(method, len(batches))
    return lambda: method.training_model.fit(batches, verbose=0, shuffle=False)


def _bare(method, images, labels, settings):
    """Training steps on one batch in memory: the difference from `_training` is the cost of the input pipeline."""
    batches = fit._training_batches(method, images, np.arange(len(images)), labels, 0)
    fit._compile(method, len(batches))
    inputs, targets = batches[0]

    class Same(keras.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return inputs, targets

    return lambda: method.training_model.fit(Same(workers=2), verbose=0, shuffle=False)


def _embedding(method, images, labels, settings):
    return lambda: fit.embed(method.model, images, np.arange(len(images)))


def _openvino(method, images, labels, settings):
    from gaaplib.network import openvino

    model = openvino.convert(method.model, settings["inference"])
    return lambda: fit.embed(model, images, np.arange(len(images)))


WORK = {"training": _training, "bare": _bare, "embedding": _embedding, "openvino": _openvino}

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
