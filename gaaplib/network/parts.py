"""Parts of a feature map, one below the other, and layers on vectors of parts.

Vectors of parts are (batch, parts, channels), from the top of the image to its bottom.
"""

import keras
from keras import ops


def stripes(rows, count, overlap=0.0):
    """The rows of ``count`` horizontal stripes of equal height, from the top, as slices.

    If the rows cannot be divided equally, heights differ by one. Without overlap each row is in one stripe.

    Args:
        rows: of the feature map.
        count: number of stripes.
        overlap: how much higher a stripe is than the share of it that is its own, half of it above and half below; 0.5
            is half as high again. Stripes end at the map's edge.

    Raises:
        ValueError: fewer rows than stripes.

    Example:
        >>> stripes(8, 3)
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        >>> stripes(8, 2, overlap=0.5)
        [slice(0, 5, None), slice(3, 8, None)]
    """
    if rows < count:
        raise ValueError(f"{count} stripes of a feature map of {rows} rows: give a greater height, or last_stride=1")
    extra = overlap * rows / count / 2
    edges = [rows * part / count for part in range(count + 1)]
    if not overlap:
        edges = [int(edge) for edge in edges]
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return [slice(max(0, round(top - extra)), min(rows, round(bottom + extra))) for top, bottom in pairs]


def pooled_stripes(features, pooling, parts, groups=None):
    """Each stripe pooled to a vector: (batch, height, width, channels) to (batch, parts, channels).

    Args:
        features: the map.
        pooling: an entry of ``POOLING``, shared by the stripes.
        parts: from :func:`stripes`.
        groups: as for the pooling.
    """
    return ops.stack([pooling(features[:, rows], groups=groups) for rows in parts], axis=1)


@keras.saving.register_keras_serializable(package="gaaplib")
class Reduction(keras.layers.Layer):
    """A linear layer, batch normalisation and a ReLU for each part: (batch, parts, channels) to (batch, parts, units).

    Args:
        units: of the result.
        shared: whether all parts have the same weights and statistics, or each part its own.
        use_bias: of the linear layer.
        relu: whether there is a ReLU at the end.

    Example:
        >>> layer = Reduction(units=2)
        >>> tuple(layer(ops.ones((4, 6, 8))).shape)
        (4, 6, 2)
    """

    def __init__(self, units, shared=False, use_bias=False, relu=True, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.shared = shared
        self.use_bias = use_bias
        self.relu = relu

    def build(self, input_shape):
        _, parts, channels = input_shape
        # Kernels of all parts at once have a fan-in of their own, so the deviation is given.
        initializer = keras.initializers.RandomNormal(stddev=(2.0 / channels) ** 0.5)
        equation, shape, bias = ("bpc,cd->bpd", (None, self.units), "d")
        if not self.shared:
            equation, shape, bias = ("bpc,pcd->bpd", (parts, self.units), "pd")
        self.linear = keras.layers.EinsumDense(
            equation,
            shape,
            bias_axes=bias if self.use_bias else None,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
            name="linear",
        )
        self.normalization = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, name="normalization"
        )
        self.linear.build(input_shape)
        width = self.units if self.shared else parts * self.units
        self.normalization.build((None, parts, width) if self.shared else (None, width))

    def call(self, inputs, training=None):
        reduced = self.linear(inputs)
        shape = ops.shape(reduced)
        if not self.shared:
            # Parts become channels, so that each has its own statistics.
            reduced = ops.reshape(reduced, (shape[0], shape[1] * shape[2]))
        reduced = ops.reshape(self.normalization(reduced, training=training), shape)
        return ops.relu(reduced) if self.relu else reduced

    def get_config(self):
        own = {"units": self.units, "shared": self.shared, "use_bias": self.use_bias, "relu": self.relu}
        return {**super().get_config(), **own}

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.units)


@keras.saving.register_keras_serializable(package="gaaplib")
class BatchDrop(keras.layers.Layer):
    """Sets one rectangle to 0 in all maps of a batch and all channels, in training only (Dai et al., ICCV 2019).

    Its place is drawn for each batch, its size is fixed. Shape: (batch, height, width, channels), unchanged.

    Args:
        height, width: of the rectangle, as shares of the map, from 0 to 1; rounded to whole positions.
        seed: of the places.

    Raises:
        ValueError: a share out of range.
    """

    def __init__(self, height=0.33, width=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not (0.0 <= height <= 1.0 and 0.0 <= width <= 1.0):
            raise ValueError(f"height={height!r}, width={width!r}: expected shares from 0 to 1")
        self.height = height
        self.width = width
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        if not training:
            return inputs
        rows = self._inside(inputs.shape[1], self.height)
        columns = self._inside(inputs.shape[2], self.width)
        dropped = ops.logical_and(rows[:, None], columns[None, :])
        return ops.where(dropped[None, :, :, None], ops.zeros_like(inputs), inputs)

    def _inside(self, size, share):
        """Which of the rows, or columns, are those of the rectangle."""
        length = round(share * size)
        first = keras.random.randint((), 0, size - length + 1, seed=self.seed_generator)
        places = ops.arange(size, dtype="int32")
        return ops.logical_and(places >= first, places < first + length)

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width, "seed": self.seed}

    def compute_output_shape(self, input_shape):
        return input_shape


def classifiers(parts, classes, name="classifiers", use_bias=True):
    """A linear classifier for each part, in float32: (batch, parts, channels) to (batch, parts, classes)."""
    return keras.layers.EinsumDense(
        "bpc,pck->bpk",
        (parts, classes),
        bias_axes="pk" if use_bias else None,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        dtype="float32",
        name=name,
    )


def directions(vectors):
    """Vectors with length 1, along the last axis, in float32; those of zeros stay, with a gradient of 0 and not NaN."""
    vectors = ops.cast(vectors, "float32")
    squared = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    there = squared > 1e-12
    return ops.where(there, vectors / ops.sqrt(ops.where(there, squared, 1.0)), 0.0)


def joined(parts):
    """Each part's vector with length 1, one after the other: (batch, parts, channels) to float32 (batch, all)."""
    parts = ops.normalize(ops.cast(parts, "float32"), axis=2)
    return ops.reshape(parts, (-1, parts.shape[1] * parts.shape[2]))
