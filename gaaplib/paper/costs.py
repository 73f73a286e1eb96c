"""The cost of a model at inference: parameters, multiply-adds, and the time per image on this machine.

A multiply-add is one product and one sum, the unit of the tables of He et al. (CVPR 2016) and of torchvision; in FLOPs
the number is twice as large. Convolutions, dense layers and the products of attention are counted. Elementwise
operations (normalisation, activation, softmax, pooling, biases) are not.
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
from gaaplib.paper.architecture_plots import layers_of

UNUSED = "classifier"
"""The layer that is not counted: retrieval does not use it, and its size depends on the data set."""


def model(config):
    """Return the inference model of a configuration, with initial weights.

    Args:
        config: a :class:`gaaplib.config.RunConfig`.
    """
    return METHODS[config.method](config, num_classes=2).model


def by_part(model):
    """Return parameters and multiply-adds at inference, by part of the model.

    Args:
        model: a model for images of one size, as returned by :func:`model`.

    Returns:
        A DataFrame with the columns ``parameters`` and ``multiply_adds`` (per image) and one row per part:
        ``backbone``, ``attention``, ...; the classifier and parts that have neither are left out.
    """
    parts = [layer for layer in layers_of(model) if layer.name != UNUSED]
    counts = [(layer.count_params(), multiply_adds(layer)) for layer in parts]
    found = pd.DataFrame(counts, [layer.name for layer in parts], ["parameters", "multiply_adds"])
    return found[found.any(axis=1)]


def multiply_adds(layer):
    """Return the multiply-adds of a layer per image, from the shapes it was built with; for a model, its layers' sum.

    Raises:
        ValueError: a size is None, or a layer has a weight matrix but is of a kind that is not counted.

    Example:
        >>> dense = keras.layers.Dense(10)
        >>> outputs = dense(keras.Input((64,)))
        >>> multiply_adds(dense)
        640
    """
    if isinstance(layer, keras.Model):
        return sum(multiply_adds(part) for part in layer.layers)
    if isinstance(layer, AttentionBlock):
        return _of_attention(layer)
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
        # Each output position uses the whole kernel, also in a depthwise convolution.
        return _values(layer.output.shape[:-1]) * math.prod(layer.kernel.shape)
    if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
        kind = type(layer).__name__
        raise ValueError(f"layer {layer.name!r} is a {kind}, whose products are not counted; use Conv2D or Dense")
    return 0


def _of_attention(block):
    """The multiply-adds of a block at inference: projections at each of N positions, ``Q K^T`` and ``A V`` (Eq. 4)."""
    positions = _values(block.output.shape[:3])
    projections = [layer for layer in block._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    sizes = {layer.name: math.prod(layer.kernel.shape) for layer in projections}
    if isinstance(block, UniformAttention):
        # The mean is the same at all positions, so it is projected once.
        return positions * sizes["value"] + sizes["output"]
    products = positions**2 * (block.query.units + block.value.units) if projections else 0
    return positions * sum(sizes.values()) + products


def _values(shape):
    """The number of values per image in a map (batch, ...)."""
    if None in shape[1:]:
        raise ValueError(f"the shape {tuple(shape[1:])} has an open size: build the model for images of one size")
    return math.prod(shape[1:])


def latency(model, batch_sizes=(1, 8), repeats=3):
    """Return the latency in milliseconds per image on this machine, for each batch size: the median of repetitions.

    The model runs as it does when it embeds images, on whole batches that are already in memory.

    Args:
        model: a model as returned by :func:`model`.
        batch_sizes: numbers of images per batch.
        repeats: number of timed repetitions, after one that is not counted because it compiles.

    Returns:
        A Series with an index of batch sizes.
    """
    if layers.on_tensorflow():
        # As in a run: its deterministic operations exclude XLA, which would be several times slower on a CPU.
        model.jit_compile = False
    rng = np.random.default_rng(0)
    found = {}
    for size in batch_sizes:
        images = rng.integers(0, 256, (size, *model.input_shape[1:]), dtype=np.uint8)
        seconds = [_seconds(model, images) for _ in range(repeats + 1)][1:]
        found[size] = 1e3 * statistics.median(seconds) / size
    return pd.Series(found, name="ms per image")


def _seconds(model, images):
    start = time.perf_counter()
    model.predict_on_batch(images)
    return time.perf_counter() - start
