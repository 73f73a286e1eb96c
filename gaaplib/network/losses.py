"""Losses with integer identities as labels; each entry of ``LOSSES`` is called as ``loss(labels, predictions)``."""

from typing import NamedTuple

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="gaaplib")
class CrossEntropy(keras.losses.Loss):
    """Categorical cross-entropy of logits and integer labels, with optional label smoothing.

    With smoothing s the target is ``(1 - s) * one_hot + s / classes`` (Szegedy et al. 2016). It is called with labels
    (batch,) or (batch, 1) and logits (batch, classes), or (batch, parts, classes), of which the mean is taken.

    Args:
        label_smoothing: s, from 0 up to but not including 1.

    Raises:
        ValueError: a label smoothing out of range.

    Example:
        >>> logits = ops.log([[0.9, 0.1], [0.5, 0.5]])
        >>> round(float(CrossEntropy()([0, 1], logits)), 3)  # -(log 0.9 + log 0.5) / 2
        0.399
        >>> round(float(CrossEntropy(label_smoothing=0.1)([0, 1], logits)), 3)
        0.454
    """

    def __init__(self, label_smoothing=0.0, reduction="sum_over_batch_size", name="cross_entropy", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing={label_smoothing!r}: expected 0 <= s < 1")
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        targets = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        if len(y_pred.shape) == 3:
            targets = ops.broadcast_to(targets[:, None], ops.shape(y_pred))
        return keras.losses.categorical_crossentropy(
            targets, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="gaaplib")
class BatchHardTriplet(keras.losses.Loss):
    """Batch-hard triplet loss (Hermans et al. 2017, Eq. 5) on distances of the embeddings.

    Each image a of the batch is an anchor. Its positive p is the farthest image of its identity, and its negative n is
    the nearest image of another identity. Its loss is ``max(0, margin + d(a, p) - d(a, n))``, or
    ``log(1 + exp(d(a, p) - d(a, n)))`` for ``margin="soft"``. The result is the mean over the anchors that have both a
    positive and a negative. It is called with identities (batch,) or (batch, 1) and embeddings (batch, features).

    Args:
        margin: a number from 0, or ``"soft"``.
        distance: ``"euclidean"``, or ``"cosine"``, which is 1 - cos.
        both_sides: whether the negative's distance is the smaller of those to the anchor and to the positive.

    Raises:
        ValueError: another margin or distance.

    Example:
        >>> embeddings = ops.convert_to_tensor([[0.0], [0.5], [0.6]])
        >>> round(float(BatchHardTriplet(margin=0.3)([1, 1, 2], embeddings)), 3)  # anchors 0 and 1: (0.2 + 0.7) / 2
        0.45
    """

    DISTANCES = ("euclidean", "cosine")

    def __init__(
        self, margin=0.3, distance="euclidean", both_sides=False, reduction="sum", name="batch_hard_triplet", dtype=None
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if margin != "soft" and not (isinstance(margin, int | float) and margin >= 0):
            raise ValueError(f"margin={margin!r}: expected a number from 0, or 'soft'")
        if distance not in self.DISTANCES:
            raise ValueError(f"distance={distance!r} is not known; known: {', '.join(self.DISTANCES)}")
        self.margin = margin
        self.distance = distance
        self.both_sides = both_sides

    def call(self, y_true, y_pred):
        embeddings = ops.cast(y_pred, "float32")
        if self.distance == "cosine":
            embeddings = ops.normalize(embeddings, axis=1)
            distances = 1.0 - ops.matmul(embeddings, ops.transpose(embeddings))
        else:
            distances = euclidean_distances(embeddings)
        return batch_hard(y_true, distances, self.margin, both_sides=self.both_sides)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "distance": self.distance, "both_sides": self.both_sides}


@keras.saving.register_keras_serializable(package="gaaplib")
class WeightedTriplet(keras.losses.Loss):
    """Weighted-regularised triplet loss of AGW (Ye et al. 2021) on Euclidean distances of the embeddings.

    It mines nothing. For an anchor i, the distances to its positives are averaged with the weights
    softmax(d), those to its negatives with the weights softmax(-d), so that hard ones count most; its loss is
    ``log(1 + exp(positive mean - negative mean))``, or ``max(0, positive mean - negative mean + margin)`` if a margin
    is given, as in fast-reid. The released code counts the anchor itself as a positive at a
    distance of about 0; here it is none. The result is the mean over the anchors that have both a positive and a
    negative. It is called with identities (batch,) or (batch, 1) and embeddings (batch, features).

    Example:
        >>> embeddings = ops.convert_to_tensor([[0.0], [0.5], [0.6]])
        >>> round(float(WeightedTriplet()([1, 1, 2], embeddings)), 3)  # of 0.5 - 0.6 and 0.5 - 0.1
        0.779
    """

    def __init__(self, margin=None, reduction="sum", name="weighted_triplet", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.margin = margin

    def get_config(self):
        return super().get_config() | {"margin": self.margin}

    def call(self, y_true, y_pred):
        distances = euclidean_distances(ops.cast(y_pred, "float32"))
        positive, negative = _pairs(y_true)
        difference = _weighted_mean(distances, distances, positive) - _weighted_mean(distances, -distances, negative)
        complete = ops.logical_and(ops.any(positive, axis=1), ops.any(negative, axis=1))
        count = ops.maximum(ops.sum(ops.cast(complete, "float32")), 1.0)
        losses = ops.softplus(difference) if self.margin is None else ops.relu(difference + self.margin)
        return ops.where(complete, losses, 0.0) / count


@keras.saving.register_keras_serializable(package="gaaplib")
class Circle(keras.losses.Loss):
    """Circle loss of pairs (Sun et al. 2020, Eq. 6) on the cosine similarities s of the embeddings.

    With the margin m, a pair is pulled towards its optimum, 1 + m for a positive and -m for a negative, the stronger
    the farther it is from it: ``a+ = max(0, 1 + m - s+)`` and ``a- = max(0, s- + m)``, both without gradient. The loss
    of an anchor is ``softplus(logsumexp(-g a+ (s+ - 1 + m)) + logsumexp(g a- (s- - m)))``, and the result is the mean
    over the anchors that have both a positive and a negative. It is called with identities (batch,) or (batch, 1) and
    embeddings (batch, features).

    Args:
        margin: m, from 0 to 1.
        scale: g, above 0.

    Raises:
        ValueError: a margin or a scale out of range.

    Example:
        >>> embeddings = ops.convert_to_tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(float(Circle(margin=0.25, scale=1.0)([1, 1, 2], embeddings)), 3)  # softplus(-0.25 ** 2 - 0.25 ** 2)
        0.633
    """

    def __init__(self, margin=0.25, scale=128.0, reduction="sum", name="circle", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0.0 <= margin <= 1.0 or not scale > 0.0:
            raise ValueError(f"margin={margin!r}, scale={scale!r}: expected 0 <= margin <= 1 and scale > 0")
        self.margin = margin
        self.scale = scale

    def call(self, y_true, y_pred):
        embeddings = ops.normalize(ops.cast(y_pred, "float32"), axis=1)
        similar = ops.matmul(embeddings, ops.transpose(embeddings))
        positive, negative = _pairs(y_true)
        pull = ops.stop_gradient(ops.relu(1.0 + self.margin - similar)) * (similar - 1.0 + self.margin)
        push = ops.stop_gradient(ops.relu(similar + self.margin)) * (similar - self.margin)
        losses = ops.softplus(_logsumexp(-self.scale * pull, positive) + _logsumexp(self.scale * push, negative))
        complete = ops.logical_and(ops.any(positive, axis=1), ops.any(negative, axis=1))
        count = ops.maximum(ops.sum(ops.cast(complete, "float32")), 1.0)
        return ops.where(complete, losses, 0.0) / count

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "scale": self.scale}


@keras.saving.register_keras_serializable(package="gaaplib")
class Mean(keras.losses.Loss):
    """The mean of what the network has computed as a loss of each image; the labels are not used."""

    def __init__(self, reduction="sum_over_batch_size", name="mean", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        return ops.cast(ops.reshape(y_pred, (-1,)), "float32")


def _pairs(labels):
    """Which pairs are two images of one identity, and which are of different ones: booleans (batch, batch) each."""
    labels = ops.reshape(labels, (-1,))
    same = ops.equal(labels[:, None], labels[None, :])
    return ops.logical_and(same, ops.logical_not(ops.eye(ops.shape(labels)[0], dtype="bool"))), ops.logical_not(same)


def _weighted_mean(values, scores, among):
    """The mean of each row's values among some columns, with the weights softmax(scores); 0 if there are none."""
    scores = ops.where(among, scores, -1e9)
    weights = ops.where(among, ops.exp(scores - ops.max(scores, axis=1, keepdims=True)), 0.0)
    return ops.sum(weights * values, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1e-12)


def _logsumexp(values, among):
    """log(sum(exp)) of each row's values among some columns."""
    return ops.logsumexp(ops.where(among, values, -1e9), axis=1)


def batch_hard(labels, distances, margin, *, both_sides=False):
    """The batch-hard triplet loss of each anchor, divided by their number, so that the sum is the mean.

    Args:
        labels: (batch,) or (batch, 1).
        distances: float32 (batch, batch).
        margin: as in :class:`BatchHardTriplet`.
        both_sides: take the smaller of the negative's distances to the anchor and to the positive.

    Returns:
        (batch,); 0 for an anchor without a positive or without a negative.
    """
    pairs = hardest_pairs(labels, distances)
    positive, negative = pairs.positive, pairs.negative
    if both_sides:
        between = pairs.positive_at * ops.shape(distances)[1] + pairs.negative_at
        negative = ops.minimum(negative, ops.take(ops.reshape(distances, (-1,)), between))
    difference = positive - negative
    losses = ops.softplus(difference) if margin == "soft" else ops.relu(difference + margin)
    count = ops.maximum(ops.sum(ops.cast(pairs.complete, "float32")), 1.0)
    return ops.where(pairs.complete, losses, 0.0) / count


class HardestPairs(NamedTuple):
    """The farthest image of the own identity and the nearest of another one, for each image of a batch.

    Attributes:
        positive, negative: (batch,) their distances.
        positive_at, negative_at: (batch,) their places in the batch.
        complete: (batch,) whether there are both.
    """

    positive: object
    negative: object
    positive_at: object
    negative_at: object
    complete: object

    def of(self, distances):
        """Other distances (batch, batch) to the same two images: (batch, 2)."""
        flat, size = ops.reshape(distances, (-1,)), ops.shape(distances)[1]
        rows = ops.arange(size, dtype="int32") * size
        return ops.stack([ops.take(flat, rows + at) for at in (self.positive_at, self.negative_at)], axis=1)

    def mean_of(self, losses):
        """Losses (batch,) so scaled that their mean is the mean over the images that have both pairs."""
        count = ops.maximum(ops.sum(ops.cast(self.complete, "float32")), 1.0)
        return ops.where(self.complete, losses, 0.0) * (ops.cast(ops.shape(losses)[0], "float32") / count)


def hardest_pairs(labels, distances):
    """The :class:`HardestPairs` of a batch with labels (batch,) or (batch, 1) and distances (batch, batch)."""
    positive, negative = _pairs(labels)
    # Beyond any distance on either side, so that no image of the wrong kind is found: equal images may have a distance
    # of 0, or a little less if it is 1 - cos, and 1 more than a large distance may be the same number.
    own = ops.where(positive, distances, -1.0)
    others = ops.where(negative, distances, 2.0 * ops.max(distances) + 1.0)
    places = (ops.cast(ops.argmax(own, axis=1), "int32"), ops.cast(ops.argmin(others, axis=1), "int32"))
    complete = ops.logical_and(ops.any(positive, axis=1), ops.any(negative, axis=1))
    return HardestPairs(ops.max(own, axis=1), ops.min(others, axis=1), *places, complete)


def euclidean_distances(embeddings):
    """Distances between all rows of (batch, features): (batch, batch). The gradient at distance 0 is 0 and not NaN."""
    squares = ops.sum(ops.square(embeddings), axis=1)
    squared = squares[:, None] + squares[None, :] - 2.0 * ops.matmul(embeddings, ops.transpose(embeddings))
    apart = squared > 1e-12
    return ops.where(apart, ops.sqrt(ops.where(apart, squared, 1.0)), 0.0)


LOSSES = {
    "cross_entropy": CrossEntropy,
    "triplet": BatchHardTriplet,
    "weighted_triplet": WeightedTriplet,
    "circle": Circle,
    "mean": Mean,
}
