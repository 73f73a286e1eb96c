"""HOReID, high-order information of body parts (Wang et al., CVPR 2020), for persons of whom something hides a part."""

import keras
import numpy as np
from keras import ops

from gaaplib.distances import EmbeddingDistances
from gaaplib.evaluation.matching import MatchedDistances
from gaaplib.methods.pgfa import Pgfa
from gaaplib.methods.triplet import check_batches
from gaaplib.network.heads import bnneck
from gaaplib.network.losses import BatchHardTriplet, CrossEntropy, Mean
from gaaplib.network.pose import PointMaps
from gaaplib.network.skeleton import (
    GLOBAL,
    NODES,
    DirectedGraph,
    HardestPairs,
    Matching,
    NodeLosses,
    certainty,
    looked_at,
)

NEEDS = ("keypoints",)
DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "dropout": 0.0,
    "sampler": "identity_balanced",
    "label_smoothing": 0.1,
    "margin": 0.3,
    "last_stride": 1,
}
OPTIONS = {"noise": "none"}
LIMITS = {"noise": ("none", "network")}
ONLY = {"neck": "bnneck", "distance": "cosine", "dropout": 0.0, "pooling": "avg"}
RECIPE = {
    "height": 256,
    "width": 128,
    "stem": "linear",
    "batch_size": 64,
    "epochs": 120,
    "learning_rate": 3.5e-4,
    "backbone_rate": 0.1,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "steps": "40 70",
    "warmup_epochs": 10,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "pad_crop": 10,
    "erase": 0.5,
    "eraser": "bot",
}

SIGMA = 1 / 32
"""Deviation of a key point's Gaussian, as a share of the height: that of HRNet's maps."""


class Horeid(Pgfa):
    """Body parts as the nodes of a graph: they inform each other, and those of two images are matched.

    The network sees the key points of each image (:mod:`gaaplib.datasets.keypoints`). Thirteen of them, or groups, and
    the whole image are 14 nodes: means of the feature map where a key point is, and the whole's mean and maximum.
    Two layers of a directed graph (:class:`gaaplib.network.skeleton.DirectedGraph`) pass on what visible parts know.
    Before and after it, each node has a BNNeck, a classifier with smoothed cross-entropy, weighted by the confidence of
    its key points, and the whole's node a batch-hard triplet loss. A matching
    (:class:`gaaplib.network.skeleton.Matching`) learns from each image's hardest positive and negative to put the same
    parts together (weight 1), and whether both are the same person (weight 0.1); it does not change the features.

    Images are compared by the cosine distance of all nodes behind the graph, each weighted by the root of its
    confidence, one after the other; the eight nearest are then ordered anew by the matching
    (:class:`gaaplib.evaluation.matching.MatchedDistances`). Heat maps are of the vector alone. Class scores are the
    mean of the nodes' logits, by confidence.

    ``attention`` is GAAP's and may be given. ``pooling`` is not used. It needs P x K batches. With ``backbone_rate``
    the graph's layers learn more slowly, not the backbone.

    Options:
        noise: as PGFA's.

    The released code (wangguanan/HOReID) takes maps of HRNet; here Gaussians stand about given key points. It begins to
    match in epoch 20; here from the start, which does not change the features either.
    """

    compared = ("embedding", "nodes")

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    @property
    def slow_weights(self):
        return [weight for graph in self._graphs for weight in graph.trainable_weights]

    @staticmethod
    def distances(query, gallery, metric, model=None):
        """Of the base class, whose nearest are ordered by the model's matching; without a model they are not."""
        if model is None:
            return EmbeddingDistances(query["embedding"], gallery["embedding"])
        matching = model.get_layer("head").get_layer("matching")

        def probability(one, other):
            _, scores = matching([ops.convert_to_tensor(np.asarray(nodes, "float32")) for nodes in (one, other)])
            return ops.convert_to_numpy(ops.sigmoid(scores))

        return MatchedDistances(query, gallery, probability)

    @staticmethod
    def comparison(metric):
        return "embedding, by the cosine distance; without the matching of the nearest images"

    def _make_head(self):
        config = self.config
        _, rows, columns, _ = (self._upper.output if self._upper else self._lower.output[0]).shape
        sigma = SIGMA * config.height
        self._point_maps = PointMaps(rows, columns, config.height, config.width, sigma, name="point_maps")
        self._graphs = [DirectedGraph(name=f"graph{number}") for number in (1, 2)]
        self._necks, self._classifiers = (
            {side: make(f"{side}_{name}") for side in ("nodes", "graph")}
            for name, make in (("neck", bnneck), ("classifiers", self._classifier))
        )
        self._matching = Matching(name="matching")
        self._hardest = HardestPairs(name="hardest")
        self._node_losses = NodeLosses(config.label_smoothing, name="node_losses")

    def _classifier(self, name):
        small = keras.initializers.RandomNormal(stddev=0.001)
        shape = (NODES, self.num_classes)
        return keras.layers.EinsumDense("bpc,pck->bpk", shape, kernel_initializer=small, dtype="float32", name=name)

    def _make_losses(self):
        # Those of nodes and matching are computed with them.
        own = {"identified": 1.0, "identified_behind": 1.0, "permuted": 1.0, "verified": 0.1}
        found = {name: (Mean(), weight) for name, weight in own.items()}
        triplet = BatchHardTriplet(self.config.margin)
        # "logits" are only watched.
        watched = {"logits": (CrossEntropy(self.config.label_smoothing), 0.0)}
        return found | {"whole": (triplet, 1.0), "whole_behind": (triplet, 1.0)} | watched

    def _head(self, features, groups=None):
        maps, points = features
        if self._upper is not None:
            maps = self._upper(maps)
        certain, nodes = certainty(points), self._nodes(maps, points)
        behind = nodes
        for graph in self._graphs:
            behind = graph(behind)
        normalised = {"nodes": self._normalised("nodes", nodes), "graph": self._normalised("graph", behind)}
        logits = {side: self._classifiers[side](vectors) for side, vectors in normalised.items()}
        of_classes = ops.sum(certain[:, :, None] * logits["graph"], axis=1) / 2.0
        if groups is None:
            flat = ops.reshape(normalised["graph"] * ops.sqrt(certain)[:, :, None], (-1, NODES * nodes.shape[2]))
            _, alike = self._matching([behind, behind])
            # Its match with itself keeps the matching in the model. In 16 bits, because a gallery has many nodes.
            found = {"embedding": flat, "logits": of_classes, "nodes": ops.cast(behind, "float16")}
            return found | {"itself": ops.sigmoid(alike)}
        found = {"logits": of_classes, "identified": self._node_losses([logits["nodes"], groups, certain])}
        found["identified_behind"] = self._node_losses([logits["graph"], groups, certain])
        found |= {"whole": nodes[:, GLOBAL], "whole_behind": behind[:, GLOBAL]}
        return found | self._matched(ops.stop_gradient(behind), groups)

    def _nodes(self, maps, points):
        """The 14 nodes, float32 (batch, 14, channels)."""
        maps = ops.cast(maps, "float32")
        flat = ops.reshape(maps, (-1, maps.shape[1] * maps.shape[2], maps.shape[3]))
        weights = looked_at(self._point_maps(points) * points[:, None, None, :, 2])
        local = ops.matmul(ops.transpose(weights, (0, 2, 1)), flat)
        whole = ops.mean(flat, axis=1) + ops.max(flat, axis=1)
        return ops.concatenate([local, whole[:, None]], axis=1)

    def _normalised(self, side, nodes):
        """Each node by its own statistics."""
        flat = ops.reshape(nodes, (-1, NODES * nodes.shape[2]))
        return ops.reshape(self._necks[side](flat), (-1, NODES, nodes.shape[2]))

    def _matched(self, nodes, groups):
        """The losses of the matching with each image's hardest positive and negative."""
        positive, negative, weights = self._hardest([nodes[:, GLOBAL], groups])
        matched, same = self._matching([nodes, ops.take(nodes, positive, axis=0)])
        _, different = self._matching([nodes, ops.take(nodes, negative, axis=0)])
        matched = ops.clip(matched, 1e-7, 1.0 - 1e-7)
        eye = np.eye(NODES, dtype="float32")
        apart = -ops.sum(ops.log(matched) * eye + ops.log(1.0 - matched) * (1.0 - eye), axis=(1, 2)) / NODES
        verified = ops.softplus(-same) + ops.softplus(different)
        return {"permuted": weights * apart, "verified": weights * verified}
