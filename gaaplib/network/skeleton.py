"""A graph of body parts, and the matching of two such graphs: HOReID's layers (Wang et al., CVPR 2020).

Nodes are (batch, 14, channels): the head, twelve joints, and last the whole image.
"""

import keras
import numpy as np
from keras import ops

from gaaplib.network.losses import hardest_pairs
from gaaplib.network.regions import cross_entropies

GROUPS = (range(5), *([place] for place in range(5, 17)))
"""The key points of COCO in each local node: those of the head together, then one joint each."""

NODES = len(GROUPS) + 1
GLOBAL = NODES - 1

EDGES = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),  # head, arms
    *((1, 2), (7, 8), (1, 7), (2, 8), (1, 8), (2, 7)),  # torso with both diagonals
    *((7, 9), (9, 11), (8, 10), (10, 12)),  # legs
)
"""The local nodes that are joined."""

SHARPNESS = 10.0
"""Of the softmax over the positions that a node looks at."""

ROUNDS = 20
"""Of Sinkhorn's normalisation."""


def looked_at(maps):
    """Where each local node looks: maps of key points (batch, rows, columns, 17) to weights (batch, positions, 13).

    The maps of a node's points are summed; the weights are a softmax over the positions.
    """
    flat = ops.reshape(maps, (-1, maps.shape[1] * maps.shape[2], maps.shape[3]))
    chosen = np.array([[point in group for group in GROUPS] for point in range(17)], "float32")
    return ops.softmax(SHARPNESS * ops.matmul(flat, chosen), axis=1)


def certainty(points):
    """How much each node counts: (batch, 17, 3) to float32 (batch, 14).

    The mean confidence of a local node's key points, divided by the sum over local nodes; 1 for the whole. An image on
    which no point is seen gets equal shares.
    """
    means = np.array([[(point in group) / len(group) for group in GROUPS] for point in range(17)], "float32")
    local = ops.matmul(points[:, :, 2], means) + 1e-6
    local = local / ops.sum(local, axis=1, keepdims=True)
    return ops.concatenate([local, ops.ones_like(local[:, :1])], axis=1)


@keras.saving.register_keras_serializable(package="gaaplib")
class DirectedGraph(keras.layers.Layer):
    """A layer of the graph: each node takes in what its neighbours and the whole image send.

    A joint i and its neighbour j exchange ``2 e`` and ``2 (1 - e)``, with ``e = sigmoid(20 w' BN(15 (h_i - h_j)))`` and
    ``h_i = |f_i - g|``, the difference of a node from the whole g: the one that differs more from it may be hidden, and
    learns more than it tells. The whole sends to every node with weight 1, and listens to itself alone. Weights that
    arrive at a node are divided by their sum, A. The result is ``relu(W1 A X) + W2 X``.

    Shapes: nodes (batch, 14, channels) to (batch, 14, channels).

    Example:
        >>> tuple(DirectedGraph()(ops.ones((2, 14, 6))).shape)
        (2, 14, 6)
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def build(self, input_shape):
        channels = input_shape[-1]
        self.normalization = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype="float32", name="normalization"
        )
        self.direction = keras.layers.Dense(1, use_bias=False, dtype="float32", name="direction")
        self.taken_in, self.kept = (
            keras.layers.Dense(channels, kernel_initializer="he_normal", dtype="float32", name=name)
            for name in ("taken_in", "kept")
        )
        pairs = (None, len(EDGES), channels)
        for layer in (self.normalization, self.direction):
            layer.build(pairs)
        for layer in (self.taken_in, self.kept):
            layer.build(input_shape)

    def call(self, nodes, training=None):
        nodes = ops.cast(nodes, "float32")
        found = ops.matmul(self.adjacency(nodes, training=training), nodes)
        return ops.relu(self.taken_in(found)) + self.kept(nodes)

    def adjacency(self, nodes, training=None):
        """A, float32 (batch, 14, 14): row i has the weights with which node i takes in the others."""
        first, second = (list(side) for side in zip(*EDGES, strict=True))
        apart = ops.abs(nodes - nodes[:, GLOBAL:])
        differences = ops.take(apart, first, axis=1) - ops.take(apart, second, axis=1)
        scores = self.direction(self.normalization(15.0 * differences, training=training))[:, :, 0]
        share = ops.sigmoid(20.0 * scores)
        weights = ops.concatenate([2.0 * share, 2.0 * (1.0 - share)], axis=1)
        fixed = np.zeros((NODES, NODES), "float32")
        fixed[:, GLOBAL] = 1.0
        place = np.zeros((2 * len(EDGES), NODES * NODES), "float32")
        for number, (one, other) in enumerate(EDGES):
            place[number, one * NODES + other] = place[len(EDGES) + number, other * NODES + one] = 1.0
        found = ops.reshape(ops.matmul(weights, place), (-1, NODES, NODES)) + fixed
        return found / ops.sum(found, axis=2, keepdims=True)

    def compute_output_shape(self, input_shape):
        return input_shape


def sinkhorn(scores, rounds=ROUNDS):
    """Matrices whose rows and columns sum to one, from positive ones (batch, n, n), by dividing by both in turn."""
    for _ in range(rounds):
        scores = scores / (ops.sum(scores, axis=1, keepdims=True) + 1e-10)
        scores = scores / (ops.sum(scores, axis=2, keepdims=True) + 1e-10)
    return scores


@keras.saving.register_keras_serializable(package="gaaplib")
class Matching(keras.layers.Layer):
    """Which node of one image belongs to which of another, and the probability that both show the same person.

    Two embeddings of the nodes in turn: each compares them by a learnt bilinear form of their directions, which a
    softmax (of 200 times the scores) and Sinkhorn's normalisation make a matching P; between the two, each image takes
    in what matches of the other. Then ``x + P y`` and ``y + P' x`` are compared channel by channel. The released code
    compares the embeddings without giving them length 1; here an image matches itself from the start.

    Input: a list of two images' nodes (n, 14, channels). Returns float32 P (n, 14, 14), and the scores (n,) whose
    sigmoid is the probability.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def build(self, input_shape):
        channels = input_shape[0][-1]
        half = channels // 2
        near_identity = _NearIdentity()
        self.embeddings = [[self._dense(half, f"embedding{step}{side}") for side in "ab"] for step in (1, 2)]
        self.forms = [
            self.add_weight((half, half), initializer=near_identity, dtype="float32", name=f"form{step}")
            for step in (1, 2)
        ]
        self.cross = self._dense(half, "cross")
        self.verdict = keras.layers.Dense(1, dtype="float32", name="verdict")
        for layers, size in zip(self.embeddings, (channels, half), strict=True):
            for layer in layers:
                layer.build((None, NODES, size))
        self.cross.build((None, NODES, 2 * half))
        self.verdict.build((None, NODES * channels))

    @staticmethod
    def _dense(units, name):
        return keras.layers.Dense(units, kernel_initializer="he_normal", dtype="float32", name=name)

    def call(self, inputs):
        one, other = (ops.cast(nodes, "float32") for nodes in inputs)
        x, y = self._embedded(one, 0), self._embedded(other, 0)
        matched = self._matched(x, y, 0)
        x, y = (
            self.cross(ops.concatenate([x, ops.matmul(matched, y)], axis=2)),
            self.cross(ops.concatenate([y, ops.matmul(ops.transpose(matched, (0, 2, 1)), x)], axis=2)),
        )
        matched = self._matched(self._embedded(x, 1), self._embedded(y, 1), 1)
        joined = one + ops.matmul(matched, other), other + ops.matmul(ops.transpose(matched, (0, 2, 1)), one)
        alike = 10.0 * ops.normalize(joined[0], axis=2) * ops.normalize(joined[1], axis=2)
        flat = ops.reshape(alike, (-1, alike.shape[1] * alike.shape[2]))
        return matched, self.verdict(flat)[:, 0]

    def _embedded(self, nodes, step):
        return sum(ops.leaky_relu(layer(nodes), negative_slope=0.2) for layer in self.embeddings[step])

    def _matched(self, x, y, step):
        form = ops.convert_to_tensor(self.forms[step])
        form = (form + ops.transpose(form)) / 2.0
        x, y = ops.normalize(x, axis=2), ops.normalize(y, axis=2)
        scores = ops.matmul(ops.matmul(x, form), ops.transpose(y, (0, 2, 1)))
        # Not 0 anywhere, as a column of zeros has no gradient.
        return sinkhorn(ops.softmax(200.0 * scores, axis=2) + 1e-6)

    def compute_output_shape(self, input_shape):
        number = input_shape[0][0]
        return (number, NODES, NODES), (number,)


@keras.saving.register_keras_serializable(package="gaaplib")
class _NearIdentity(keras.initializers.Initializer):
    """The identity and a little noise, from -1/32 to 1/32."""

    def __call__(self, shape, dtype=None):
        return ops.eye(shape[0], dtype=dtype) + keras.random.uniform(shape, -1 / 32, 1 / 32, dtype=dtype)


@keras.saving.register_keras_serializable(package="gaaplib")
class NodeLosses(keras.layers.Layer):
    """Cross-entropies of all nodes of each image, weighted by how certain each is, with smoothed labels.

    Input: a list of logits (batch, 14, classes), identities (batch,) and certainties (batch, 14). Output: float32
    (batch,).

    Args:
        label_smoothing: from 0 up to but not including 1.
    """

    def __init__(self, label_smoothing=0.0, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.label_smoothing = label_smoothing

    def call(self, inputs):
        logits, labels, certain = inputs
        labels = ops.broadcast_to(labels[:, None], ops.shape(certain))
        smooth = -ops.mean(ops.log_softmax(logits), axis=2)
        losses = (1.0 - self.label_smoothing) * cross_entropies(logits, labels) + self.label_smoothing * smooth
        return ops.sum(certain * losses, axis=1)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}

    def compute_output_shape(self, input_shape):
        return (input_shape[1][0],)


@keras.saving.register_keras_serializable(package="gaaplib")
class HardestPairs(keras.layers.Layer):
    """For each image of a batch, its farthest image of the same identity and its nearest of another one, by the cosine.

    Input: a list of vectors (batch, dim) and identities (batch,). Returns the places of both in the batch, int32
    (batch,) each, and float32 (batch,) weights, whose product with losses of the pairs has their mean over the images
    that have both; no gradient passes.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, inputs):
        vectors, labels = inputs
        vectors = ops.stop_gradient(ops.normalize(ops.cast(vectors, "float32"), axis=1))
        pairs = hardest_pairs(labels, 1.0 - ops.matmul(vectors, ops.transpose(vectors)))
        return pairs.positive_at, pairs.negative_at, pairs.mean_of(ops.ones_like(pairs.positive))

    def compute_output_spec(self, inputs):
        shape = (inputs[0].shape[0],)
        places = [keras.KerasTensor(shape, dtype="int32") for _ in range(2)]
        return *places, keras.KerasTensor(shape, dtype="float32")
