"""Figs. 1-3 of the paper, plotted from built models: every name and shape is read from the layers."""

import re
from itertools import groupby

import matplotlib.pyplot as plt

from gaaplib.plots import COLOURS

_FILLS = {"data": "0.95", "layer": (*COLOURS["gaap"], 0.15), "attention": (*COLOURS["none"], 0.3)}


def network(model):
    """Plot the whole network from image to scores (Fig. 1): one box per part, with class, parameters and output shape.

    Args:
        model: a Keras model whose parts follow each other in one line, such as the model of a method in ``METHODS``.
    """
    parts = [layer for layer in layers_of(model) if type(layer).__name__ != "Identity"]
    figure, axis = _canvas(1.75 * len(parts) - 0.3, 1.55)
    for index, layer in enumerate(parts):
        kind, count = type(layer).__name__, layer.count_params()
        fill = {"InputLayer": "data"}.get(kind, "attention" if layer.name == "attention" else "layer")
        names = [] if kind == "Functional" else _spaced(kind)
        size = f"{count / 1e6:.2f} M" if count > 1e5 else f"{count:,}"
        lines = [layer.name, *names, f"{size} parameters" if count else "no parameters"]
        _box(axis, 1.75 * index, 0.5, 1.45, 1.0, lines, fill)
        axis.text(1.75 * index + 0.725, 0.25, _shape(layer.output.shape), ha="center", va="center", fontsize=9)
        if index:
            _arrow(axis, (1.75 * index - 0.3, 1.0), (1.75 * index, 1.0))
    return figure


def layers_of(model):
    """Return the layers of a method's model in order, those of its head one by one."""
    opened = []
    for layer in model.layers:
        # The first layer of the head is its input.
        opened += layer.layers[1:] if layer.name == "head" else [layer]
    return opened


def block(attention):
    """Plot the block of Eq. 4 and 5 (Fig. 2): its four 1 x 1 convolutions, the softmax matrix, and the residual.

    Args:
        attention: a built :class:`gaaplib.attention.CrossFeatureAttention` that is a layer of a model.
    """
    height, width, channels = attention.output.shape[1:]
    positions = height * width
    figure, axis = _canvas(8.2, 3.3)
    _box(axis, 0, 1.2, 1.35, 0.9, ["F", _shape((None, height, width, channels)), f"N = {positions}"], "data")
    rows = {"query": (2.4, "Q"), "key": (1.3, "K"), "value": (0.2, "V")}
    for name, (level, letter) in rows.items():
        layer = getattr(attention, name)
        lines = [f"{letter}: {name}, 1 × 1", f"{channels} → {layer.units}", f"{positions} × {layer.units}"]
        _box(axis, 1.75, level, 1.4, 0.8, lines, "layer")
        _arrow(axis, (1.35, 1.65), (1.75, level + 0.4))
    own = f"softmax, α = {attention.alpha:g}"
    _box(axis, 3.55, 1.75, 1.5, 0.95, ["Eq. 4: A", own, f"{positions} × {positions}"], "attention")
    values = f"{positions} × {attention.value.units}"
    _box(axis, 4.1, 0.2, 0.95, 0.8, ["A V", values], "attention")
    output = attention.output_projection
    lines = ["Wₐ: output, 1 × 1", f"{attention.value.units} → {output.units}", f"{positions} × {output.units}"]
    _box(axis, 5.4, 0.2, 1.4, 0.8, lines, "layer")
    _box(axis, 7.15, 0.2, 1.05, 0.8, ["Eq. 5: + F", _shape(attention.output.shape)], "data")
    for start, end in (
        ((3.15, 2.8), (3.55, 2.4)),
        ((3.15, 1.7), (3.55, 2.05)),
        ((4.55, 1.75), (4.55, 1.0)),
        ((3.15, 0.6), (4.1, 0.6)),
        ((5.05, 0.6), (5.4, 0.6)),
        ((6.8, 0.6), (7.15, 0.6)),
    ):
        _arrow(axis, start, end)
    # The residual goes round the block.
    axis.plot([0.67, 0.67, 7.67], [2.1, 3.28, 3.28], color="0.3", lw=1.2)
    _arrow(axis, (7.67, 3.28), (7.67, 1.0))
    axis.text(5.6, 3.1, "residual", fontsize=9, color="0.3", va="center")
    return figure


def stages(backbone):
    """Plot the stages of a backbone (Fig. 3): their blocks of convolutions and the shape of each feature map.

    Args:
        backbone: a built model of ``BACKBONES``.
    """
    convolutions = [layer for layer in backbone.layers if hasattr(layer, "filters") and hasattr(layer, "kernel_size")]
    grouped = {stage: list(group) for stage, group in groupby(convolutions, lambda layer: layer.name.split("_")[0])}
    figure, axis = _canvas(1.42 * (len(grouped) + 1) - 0.25, 2.1)
    _box(axis, 0, 0.5, 1.17, 1.5, ["images"], "data")
    axis.text(0.585, 0.25, _shape(backbone.input.shape), ha="center", va="center", fontsize=9)
    # In a VGG, the pooling between stages belongs to the stage before it; in a ResNet it belongs to no stage.
    given = dict(zip(list(grouped)[-len(backbone.output) :], backbone.output.values(), strict=True))
    for index, (stage, layers) in enumerate(grouped.items(), start=1):
        _box(axis, 1.42 * index, 0.5, 1.17, 1.5, [stage, *_kernels(layers)], "layer")
        last = given[stage] if stage in given else layers[-1].output
        axis.text(1.42 * index + 0.585, 0.25, _shape(last.shape), ha="center", va="center", fontsize=9)
        _arrow(axis, (1.42 * index - 0.25, 1.25), (1.42 * index, 1.25))
    return figure


def _kernels(layers):
    """Return one line per convolution of a block, and the number of such blocks; shortcut convolutions are left out."""
    blocks = {}
    for layer in layers:
        if not layer.name.endswith("_0_conv"):
            found = re.search(r"_block\d+", layer.name)
            size = " × ".join(map(str, layer.kernel_size))
            blocks.setdefault(found.group() if found else "", []).append(f"{size}, {layer.filters}")
    lines = []
    for kernels, alike in groupby(blocks.values()):
        count = len(list(alike))
        lines += [*kernels, *([f"{count} such blocks"] if count > 1 else [])]
    return lines


def _canvas(width, height):
    """Return a figure and a frameless axis whose unit is an inch, so that text fits its box at every figure size."""
    figure, axis = plt.subplots(figsize=(width + 0.1, height + 0.1), layout="constrained")
    axis.set(xlim=(-0.05, width + 0.05), ylim=(0, height + 0.1))
    axis.axis("off")
    return figure, axis


def _box(axis, left, bottom, width, height, lines, fill):
    axis.add_patch(plt.Rectangle((left, bottom), width, height, fc=_FILLS[fill], ec="0.3", lw=1))
    axis.text(left + width / 2, bottom + height / 2, "\n".join(lines), ha="center", va="center", fontsize=9)


def _arrow(axis, start, end):
    axis.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.3", "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    )


def _shape(shape):
    """Return the shape of one image as text: ``4 × 2 × 512``."""
    return " × ".join(map(str, shape[1:]))


def _spaced(name):
    """Return a class name in lines of at most two words."""
    words = re.findall("[A-Z][a-z0-9]*", name)
    return [" ".join(words[start : start + 2]) for start in range(0, len(words), 2)]
