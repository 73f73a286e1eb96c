"""Layers of several networks that teach each other: mean teachers, and MEB-Net's losses (Zhai et al., ECCV 2020).

They are part of training models only.
"""

import keras
from keras import ops

from gaaplib.network.losses import CrossEntropy, euclidean_distances, hardest_pairs

MOST = 0.999
"""Share of its own weights that a teacher keeps in the long run."""


class Follow(keras.layers.Layer):
    """Passes a list of images on, and in training first moves the weights of teachers towards those of students.

    At the step t, from 0, a teacher's weight becomes ``a * its own + (1 - a) * the student's`` with
    ``a = min(1 - 1 / (t + 1), most)``: the mean of the student's weights so far, and later one that forgets. As that
    happens before the step, the last step of a training is not in it.

    Args:
        pairs: list of (student's variable, teacher's variable).
        most: share of its own weights that a teacher keeps in the long run.
    """

    def __init__(self, pairs, most=MOST, **kwargs):
        # Weights and steps would be rounded otherwise: bfloat16 counts to 256.
        super().__init__(**{"dtype": "float32", **kwargs})
        # As a function, because Keras would take the variables for this layer's own.
        self._pairs = lambda: pairs
        self.most = most

    def build(self, input_shape):
        self.steps = self.add_weight((), initializer="zeros", trainable=False, dtype="float32", name="steps")

    def call(self, inputs, training=None):
        if training:
            steps = ops.convert_to_tensor(self.steps)
            kept = ops.minimum(1.0 - 1.0 / (steps + 1.0), self.most)
            for student, teacher in self._pairs():
                teacher.assign(kept * ops.convert_to_tensor(teacher) + (1.0 - kept) * ops.convert_to_tensor(student))
            self.steps.assign(steps + 1.0)
        return inputs

    def compute_output_spec(self, inputs, training=None):
        # New ones: if they were the inputs, Keras would leave this layer out of a model.
        return [keras.KerasTensor(images.shape, dtype=images.dtype) for images in inputs]


class ExpertLosses(keras.layers.Layer):
    """The losses of students that learn from labels and from each other's teachers, for each image.

    Input: a list of the identities (batch,), then the students' logits (batch, classes), their pooled vectors
    (batch, channels), the teachers' logits and the teachers' pooled vectors, a tensor for each expert.

    Returns a dict of float32 (batch,), whose means over the batch are MEB-Net's:

    - ``"identified"``: the sum of the students' smoothed cross-entropies;
    - ``"compared"``: the sum of their soft-margin batch-hard triplet losses;
    - ``"taught"``: the sum over pairs of a teacher i and another's student j of ``a_i / 2`` times the cross-entropy of
      the student's classes with the teacher's;
    - ``"taught_to_compare"``: the same of the softmax over the distances to the student's hardest positive and
      negative, beside that over the teacher's distances to the same two images.

    The weight "authority", (experts,), which starts at one, is a.

    Args:
        experts: their number, at least 2.
        label_smoothing: of the identities.
    """

    def __init__(self, experts, label_smoothing=0.1, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.experts = experts
        self.smoothed = CrossEntropy(label_smoothing, reduction="none")

    def build(self, input_shape):
        self.authority = self.add_weight(
            (self.experts,), initializer="ones", trainable=False, dtype="float32", name="authority"
        )

    def call(self, inputs):
        labels, *rest = inputs
        number = self.experts
        logits, pooled = rest[:number], rest[number : 2 * number]
        rest = [ops.stop_gradient(part) for part in rest[2 * number :]]
        taught, taught_pooled = rest[:number], rest[number:]
        found = {"identified": 0.0, "compared": 0.0, "taught": 0.0, "taught_to_compare": 0.0}
        for student in range(number):
            pairs = hardest_pairs(labels, euclidean_distances(pooled[student]))
            found["identified"] += self.smoothed(labels, logits[student])
            found["compared"] += pairs.mean_of(ops.softplus(pairs.positive - pairs.negative))
            ours = ops.stack([pairs.positive, pairs.negative], axis=1)
            for teacher in set(range(number)) - {student}:
                weight = ops.convert_to_tensor(self.authority)[teacher] / (number - 1)
                theirs = pairs.of(euclidean_distances(taught_pooled[teacher]))
                found["taught"] += weight * _soft_cross_entropy(taught[teacher], logits[student])
                found["taught_to_compare"] += weight * pairs.mean_of(_soft_cross_entropy(theirs, ours))
        return found

    def compute_output_spec(self, inputs):
        names = ("identified", "compared", "taught", "taught_to_compare")
        return {name: keras.KerasTensor((inputs[0].shape[0],), dtype="float32") for name in names}


def _soft_cross_entropy(target, logits):
    """Cross-entropy of softmax(logits) with softmax(target), over the last axis."""
    return -ops.sum(ops.softmax(target) * ops.log_softmax(logits), axis=-1)
