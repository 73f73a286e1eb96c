"""What a model costs when it is used: parameters, multiply-adds, and the time that it takes on this machine.

A multiply-add is one product and its sum, the unit of the tables of He et al. (CVPR 2016) and of torchvision;
counted as two operations (FLOPs) the same model has twice as many. Counted are convolutions, dense layers and the
products of attention; what is done value by value (normalisation, activation, softmax, pooling, biases) is left out.
"""

import math
import statistics
import time

import keras
import numpy as np
import pandas as pd

from gaaplib.attention import AttentionBlock, UniformAttention
from gaaplib.methods import METHODS
from gaaplib.network import layers

UNUSED = "classifier"
"""Retrieval does not use it, and its size is that of the data set."""


def model(config):
    """The model of a configuration as it is used, with weights as they start.

    Args:
        config: a RunConfig.
    """
    return METHODS[config.method](config, num_classes=2).model


def by_part(model):
    """Parameters and multiply-adds of a model for inference, by part.

    Args:
        model: from images of one size to a dict of outputs, as of :func:`model`.

    Returns:
        A DataFrame with an index of parts (``backbone``, ``attention``, ...; those that have neither, and the
        classifier, are left out) and the columns ``parameters`` and ``multiply_adds`` of one image.
    """
    parts = [layer for layer in model.layers if layer.name != UNUSED]
    counts = [(layer.count_params(), multiply_adds(layer)) for layer in parts]
    found = pd.DataFrame(counts, [layer.name for layer in parts], ["parameters", "multiply_adds"])
    return found[found.any(axis=1)]


def multiply_adds(layer):
    """Multiply-adds of a layer for one image, from the shapes that it was built with; a model's are its layers' sum.

    Raises:
        ValueError: a shape is open, or a layer has a matrix of weights and is none of those that are counted.
    """
    if isinstance(layer, keras.Model):
        return sum(multiply_adds(part) for part in layer.layers)
    if isinstance(layer, AttentionBlock):
        return _of_attention(layer)
    if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
        # The whole kernel at each position.
        return _values(layer.output.shape[:-1]) * math.prod(layer.kernel.shape)
    if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
        raise ValueError(f"layer {layer.name!r} is a {type(layer).__name__}, whose products are not counted here")
    return 0


def _of_attention(block):
    """The block's projections at each of the N positions, and at inference ``Q K^T`` and ``A V`` (Eq. 4)."""
    positions = _values(block.output.shape[:3])
    projections = [layer for layer in block._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    sizes = {layer.name: math.prod(layer.kernel.shape) for layer in projections}
    if isinstance(block, UniformAttention):
        # Its mean is the same at all positions, and is projected once.
        return positions * sizes["value"] + sizes["output"]
    products = positions**2 * (block.query.units + block.value.units) if projections else 0
    return positions * sum(sizes.values()) + products


def _values(shape):
    """Number of values of one image in a map (batch, ...)."""
    if None in shape[1:]:
        raise ValueError(f"the shape {tuple(shape[1:])} is open: build the model for images of one size")
    return math.prod(shape[1:])


def latency(model, batch_sizes=(1, 8), repeats=3):
    """Milliseconds an image takes on this machine in batches of some sizes: the median of repetitions.

    The model runs as it does when images are embedded: whole batches that lie ready in memory.

    Args:
        model: as of :func:`model`.
        batch_sizes: images a batch.
        repeats: of each, after one that is not counted, as it compiles.

    Returns:
        A Series with an index of batch sizes.
    """
    if layers.on_tensorflow():
        # As in a run, where deterministic operations rule XLA out; on a processor it would be several times slower.
        model.jit_compile = False
    rng = np.random.default_rng(0)
    found = {}
    for size in batch_sizes:
        images = rng.integers(0, 256, (size, *model.input_shape[1:]), dtype=np.uint8)
        seconds = [_seconds(model, images) for _ in range(repeats + 1)][1:]
        found[size] = 1e3 * statistics.median(seconds) / size
    return pd.Series(found, name="ms an image")


def _seconds(model, images):
    start = time.perf_counter()
    model.predict_on_batch(images)
    return time.perf_counter() - start
