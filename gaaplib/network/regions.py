"""Regions of a person that an image shows or does not show: VPM's layers (Sun et al., CVPR 2019).

Vectors of regions are (batch, parts, channels), from the person's top to its bottom.
"""

import keras
from keras import ops

from gaaplib.network.losses import batch_hard, euclidean_distances

CHANNELS_PER_GROUP = 8
"""The locator sees the means of so many channels each."""


@keras.saving.register_keras_serializable(package="gaaplib")
class KeepTop(keras.layers.Layer):
    """The top of each image, enlarged to the whole height with linear interpolation.

    Inputs: images (batch, height, width, 3) and float32 (batch,), the share of the height to keep, above 0. Output:
    float32 (batch, height, width, 3).
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, images, kept):
        height = images.shape[1]
        rows = ops.arange(height, dtype="float32")
        sought = ops.clip((rows[None, :] + 0.5) * ops.cast(kept, "float32")[:, None] - 0.5, 0.0, height - 1.0)
        # The weight of each row of the image in each row of the result.
        weights = ops.relu(1.0 - ops.abs(sought[:, :, None] - rows[None, None, :]))
        return ops.einsum("bst,btwc->bswc", weights, ops.cast(images, "float32"))

    def compute_output_spec(self, images, kept):
        return keras.KerasTensor(images.shape, dtype="float32")


@keras.saving.register_keras_serializable(package="gaaplib")
class Regions(keras.layers.Layer):
    """Locates the regions in a feature map, and gives the vector and the visibility of each.

    The locator is a linear layer on each row of the map, of which it sees the mean over the columns, and over groups of
    eight channels. A region's probabilities are the softmax of its scores over the regions; its visibility is their sum
    over the rows, and its vector is the mean of the rows, weighted by them. No gradient goes from vectors to locator.

    Inputs: the map (batch, rows, columns, channels), and the map that the locator sees, such as after dropout.

    Returns float32 tensors: vectors (batch, parts, channels), visibilities (batch, parts), the locator's scores (batch,
    rows, parts), and the embedding (batch, parts * channels): the vectors, each of its visibility's length.

    Args:
        parts: number of regions.
    """

    def __init__(self, parts=6, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.parts = parts

    def build(self, features_shape, located_shape=None):
        channels = features_shape[-1]
        if channels % CHANNELS_PER_GROUP:
            raise ValueError(f"{channels} channels are not a multiple of {CHANNELS_PER_GROUP}")
        self.locator = keras.layers.Dense(self.parts, kernel_initializer="he_normal", dtype="float32", name="locator")
        self.locator.build((None, features_shape[1], channels // CHANNELS_PER_GROUP))

    def call(self, features, located):
        batch, rows, columns, channels = ops.shape(located)
        groups = ops.reshape(located, (batch, rows, columns, channels // CHANNELS_PER_GROUP, CHANNELS_PER_GROUP))
        scores = self.locator(ops.mean(ops.cast(groups, "float32"), axis=(2, 4)))
        vectors, visibility = regions_of(features, scores)
        embedding = ops.normalize(vectors, axis=2) * visibility[:, :, None]
        return vectors, visibility, scores, ops.reshape(embedding, (batch, self.parts * channels))

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}

    def compute_output_shape(self, features_shape, located_shape=None):
        batch, rows, _, channels = features_shape
        vectors, scores = (batch, self.parts, channels), (batch, rows, self.parts)
        return vectors, (batch, self.parts), scores, (batch, self.parts * channels)


@keras.saving.register_keras_serializable(package="gaaplib")
class RegionLosses(keras.layers.Layer):
    """The losses of regions, for each image, so scaled that their means over a batch are VPM's.

    Input: a list of the regions' logits (batch, parts, classes), the locator's scores (batch, rows, parts), the vectors
    (batch, parts, channels), the visibilities (batch, parts), the identities (batch,), and the share of each image's
    height that was kept (batch,).

    Returns a dict of float32 (batch,): ``"identified"``, the sum of the regions' mean cross-entropies over the images
    that show them; ``"located"``, the locator's; ``"compared"``, the batch-hard triplet loss of
    :func:`shared_distances`.

    Args:
        margin: of the triplet loss.
    """

    def __init__(self, margin=1.0, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.margin = margin

    def call(self, inputs):
        logits, scores, vectors, visibility, labels, kept = inputs
        rows = rows_of_regions(kept, scores.shape[1], scores.shape[2])
        distances = shared_distances(ops.normalize(vectors, axis=2), visibility)
        number = ops.cast(ops.shape(labels)[0], "float32")
        return {
            "identified": regions_loss(logits, labels, rows),
            "located": ops.mean(cross_entropies(scores, rows), axis=1),
            "compared": number * batch_hard(labels, distances, self.margin),
        }

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}

    def compute_output_shape(self, input_shape):
        return {name: (input_shape[4][0],) for name in ("identified", "located", "compared")}


def rows_of_regions(kept, rows, parts):
    """Which region each row of the map shows, int32 (batch, rows), if the top of the image was kept and enlarged.

    Region k ends at row ``round(rows * k / parts / kept)``.

    Example:
        >>> rows_of_regions(ops.convert_to_tensor([1.0, 0.5]), rows=8, parts=4).numpy().tolist()
        [[0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1]]
    """
    ends = ops.arange(1, parts + 1, dtype="float32") * rows / parts
    ends = ops.round(ends[None, :] / kept[:, None])
    beyond = ops.arange(1, rows + 1, dtype="float32")[None, :, None] > ends[:, None, :]
    return ops.sum(ops.cast(beyond, "int32"), axis=2)


def regions_of(features, scores):
    """Vectors of the regions, float32 (batch, parts, channels), and visibilities (batch, parts).

    Args:
        features: (batch, rows, columns, channels).
        scores: (batch, rows, parts), which get no gradient from here.
    """
    probabilities = ops.softmax(ops.stop_gradient(scores), axis=2)
    visibility = ops.sum(probabilities, axis=1)
    weights = probabilities / visibility[:, None, :]
    return ops.einsum("brp,brc->bpc", weights, ops.sum(ops.cast(features, "float32"), axis=2)), visibility


def regions_loss(logits, labels, rows):
    """Cross-entropies of the regions of each image, so scaled that the mean over images is the sum over regions.

    Args:
        logits: (batch, parts, classes).
        labels: (batch,) identities.
        rows: (batch, rows) regions, as from :func:`rows_of_regions`. A region counts for an image if at least half of
            its rows are there.
    """
    parts = logits.shape[1]
    shown = ops.sum(ops.one_hot(rows, parts, dtype="float32"), axis=1)
    visible = ops.cast(shown >= rows.shape[1] / parts / 2, "float32")
    share = visible / ops.maximum(ops.mean(visible, axis=0, keepdims=True), 1e-6)
    labels = ops.broadcast_to(labels[:, None], ops.shape(visible))
    return ops.sum(share * cross_entropies(logits, labels), axis=1)


def cross_entropies(logits, labels):
    """Of each vector of logits: (..., classes) and integers (...) to (...)."""
    return keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def shared_distances(vectors, visibility):
    """Distances of all pairs of images, (batch, batch): the regions', weighted by the products of visibilities.

    Args:
        vectors: (batch, parts, channels) of length 1.
        visibility: (batch, parts), without gradient.
    """
    each = ops.stack([euclidean_distances(vectors[:, part]) for part in range(vectors.shape[1])], axis=2)
    weights = visibility[:, None, :] * visibility[None, :, :]
    return ops.sum(weights * each, axis=2) / ops.sum(weights, axis=2)
