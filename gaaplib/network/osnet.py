"""OSNet's stages (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019).

A block has four streams of one to four light 3 x 3 convolutions, and so four receptive fields. One gate, which they
share, weights each. Every convolution is without bias, and normalised over the batch, as in the authors' torchreid.
"""

from functools import partial

import keras

from gaaplib.network import layers

CHANNELS = (64, 256, 384, 512)
STREAMS = 4
REDUCTION = 4
"""The channels of a block's streams are a quarter of its output's."""

GATE_REDUCTION = 16


def stages(last_stride, kernel_initializer, insert, width=1.0):
    """The four stages, each a function from feature map to feature map; the first has the stem.

    Their maps are a quarter, an eighth, a sixteenth and a sixteenth of the image. The published network has no stride
    in its last stage, a 1 x 1 convolution; ``last_stride=2`` puts an average pooling before it, which is ours.

    Args:
        last_stride: 1 or 2.
        kernel_initializer: of every convolution.
        insert: as for the other backbones.
        width: multiplier of all channels.
    """
    channels = [int(width * count) for count in CHANNELS]
    make = partial(_convolution, kernel_initializer=kernel_initializer)

    def blocks(x, stage):
        for number in (1, 2):
            x = _block(x, channels[stage], f"conv{stage + 1}_block{number}", make)
            x = insert(x, stage, 2 - number)
        return x

    def first(x):
        x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(x)
        x = make(x, channels[0], 7, "conv1", strides=2, padding="valid")
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
        return blocks(keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x), 1)

    def middle(x, stage):
        # What the paper has at the end of a stage stands at the start of the next, so that a map keeps its resolution.
        x = make(x, channels[stage - 1], 1, f"transition{stage}")
        return blocks(keras.layers.AveragePooling2D(2, name=f"transition{stage}_pool")(x), stage)

    def last(x):
        if last_stride == 2:
            x = keras.layers.AveragePooling2D(2, name="transition4_pool")(x)
        return insert(make(x, channels[3], 1, "conv5"), 4, 0)

    return [first, partial(middle, stage=2), partial(middle, stage=3), last]


def block(x, filters, name, gate_reduction=GATE_REDUCTION, kernel_initializer="he_normal"):
    """One block of OSNet: (batch, h, w, c) to (batch, h, w, filters).

    Args:
        x: the map.
        filters: channels of the result; a quarter of them in between.
        name: prefix of the layers' names.
        gate_reduction: how many times fewer channels the gate has in between.
        kernel_initializer: of every convolution.
    """
    return _block(x, filters, name, partial(_convolution, kernel_initializer=kernel_initializer), gate_reduction)


def _block(x, filters, name, make, gate_reduction=GATE_REDUCTION):
    """(batch, h, w, c) to (batch, h, w, filters)."""
    shortcut, narrow = x, filters // REDUCTION
    if x.shape[-1] != filters:
        shortcut = make(x, filters, 1, f"{name}_0", relu=False)
    gate = _gate(narrow, f"{name}_gate", gate_reduction)
    start, streams = make(x, narrow, 1, f"{name}_1"), []
    for stream in range(1, STREAMS + 1):
        x = start
        for depth in range(1, stream + 1):
            x = _light(x, f"{name}_stream{stream}_{depth}", make)
        streams.append(gate(x))
    x = make(keras.layers.Add(name=f"{name}_sum")(streams), filters, 1, f"{name}_3", relu=False)
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.Activation("relu", name=f"{name}_out")(x)


def _light(x, name, make):
    """A 1 x 1 convolution and a depthwise 3 x 3 one, one normalisation and a ReLU."""
    x = make(x, x.shape[-1], 1, f"{name}_point", normalised=False)
    initializer = keras.initializers.get(make.keywords["kernel_initializer"]).clone()
    x = keras.layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_initializer=initializer, name=f"{name}_depth"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def _gate(channels, name, reduction):
    """The gate that a block's streams share: a function from a map to the map with its channels weighted."""
    narrow = keras.layers.Dense(channels // reduction, activation="relu", name=f"{name}_1")
    wide = keras.layers.Dense(channels, activation="sigmoid", name=f"{name}_2")

    def weighted(x):
        return x * wide(narrow(keras.ops.mean(x, axis=(1, 2), keepdims=True)))

    return weighted


def _convolution(x, filters, size, name, *, kernel_initializer, strides=1, padding="same", relu=True, normalised=True):
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.get(kernel_initializer).clone(),
        name=f"{name}_conv",
    )(x)
    if normalised:
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
        x = keras.layers.Activation("relu", name=f"{name}_out")(x) if relu else x
    return x
