"""Losses of a network that is told who is in a group of images, but not who is on which of them."""

import keras
from keras import ops


class BagLosses(keras.layers.Layer):
    """The losses of bags, groups of ``size`` images of which the identities are known and their order is not.

    Input: a list of logits (batch, classes), vectors (batch, dim) and identities (batch,), bag after bag. Returns
    float32 (batch,) each, whose means are:

    - ``"present"``: the binary cross-entropy of each identity's highest logit in a bag with whether it is in the bag;
      the mean over those that are, and the mean over those that are not, have equal weights;
    - ``"aligned"``: for an identity that is in two bags, the squared distance of the directions of the two images that
      have its highest logits; 0 in a batch without such an identity.

    A bag's identities are a set: shuffling them within the bag changes nothing. Images at the end of a batch that make
    no whole bag are left out. Beyond training, where batches have any size, each image is a bag of its own.

    Args:
        size: images of a bag.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.size = size

    def call(self, inputs, training=None):
        logits, vectors, labels = inputs
        size, classes, dim = self.size if training else 1, logits.shape[1], vectors.shape[1]
        ones = ops.ones_like(ops.cast(labels, "float32"))
        whole = ops.shape(labels)[0] // size * size
        logits, vectors, labels = logits[:whole], vectors[:whole], labels[:whole]
        scores = ops.reshape(ops.cast(logits, "float32"), (-1, size, classes))
        present = ops.max(ops.reshape(ops.one_hot(labels, classes), (-1, size, classes)), axis=1)
        directions = ops.normalize(ops.reshape(ops.cast(vectors, "float32"), (-1, size, dim)), axis=2)
        found = {"present": _presence(ops.max(scores, axis=1), present)}
        found["aligned"] = _alignment(scores, directions, present)
        return {name: value * ones for name, value in found.items()}

    def compute_output_spec(self, inputs, training=None):
        shape = (inputs[0].shape[0],)
        return {name: keras.KerasTensor(shape, dtype="float32") for name in ("present", "aligned")}


def _presence(highest, present):
    """The balanced binary cross-entropy of (bags, classes)."""
    losses = ops.softplus(highest) - present * highest
    absent = 1.0 - present
    inside = ops.sum(present * losses) / ops.maximum(ops.sum(present), 1.0)
    return inside + ops.sum(absent * losses) / ops.maximum(ops.sum(absent), 1.0)


def _alignment(scores, directions, present):
    """The mean squared distance over pairs of bags with an identity in common."""
    best = ops.one_hot(ops.argmax(scores, axis=1), scores.shape[1], axis=1)
    chosen = ops.einsum("bsc,bsd->bcd", ops.cast(best, "float32"), directions)
    apart = 2.0 - 2.0 * ops.einsum("acd,bcd->abc", chosen, chosen)
    different = 1.0 - ops.eye(ops.shape(present)[0])
    both = present[:, None] * present[None, :] * different[:, :, None]
    return ops.sum(both * apart) / ops.maximum(ops.sum(both), 1.0)
