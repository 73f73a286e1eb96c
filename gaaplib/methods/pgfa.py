"""PGFA, pose-guided feature alignment (Miao et al., ICCV 2019), for persons of whom something hides a part."""

import keras
from keras import ops

from gaaplib.distances import PartDistances
from gaaplib.methods.gaap import Gaap
from gaaplib.network.losses import CrossEntropy
from gaaplib.network.parts import Reduction, classifiers, pooled_stripes, stripes
from gaaplib.network.pose import PointMaps, visible_stripes, with_neck

NEEDS = ("keypoints",)
DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "dropout": 0.5,
    "sampler": "shuffled",
    "label_smoothing": 0.0,
    "last_stride": 1,
}
OPTIONS = {"parts": 3, "dim": 256, "stripes": 0.2, "noise": "none"}
LIMITS = {"parts": (1, 64), "dim": (1, 65536), "stripes": (0.0, 1.0), "noise": ("none", "network")}
ONLY = {"neck": "none", "distance": "cosine", "margin": 0.3}
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 32,
    "epochs": 60,
    "learning_rate": 0.1,
    "backbone_rate": 0.1,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "warmup_epochs": 0,
    "steps": "41",
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
}

VARIANCE = 1e-3
"""The deviation of a key point's Gaussian is the number of the image's pixels times this, in pixels."""


class Pgfa(Gaap):
    """Looks where the key points of the person are, and leaves out stripes that show none of them.

    The network sees the key points of each image (:mod:`gaaplib.datasets.keypoints`). The feature map is weighted by a
    Gaussian about each of 18 points and pooled; the maximum over the points, and the pooled map itself, are the global
    vector. Further there are ``parts`` stripes. Each vector has a dropout, a linear layer to ``dim`` values, batch
    normalisation, another dropout and a classifier. The loss is ``stripes`` times the sum of the stripes' cross-
    entropies, and 1 - ``stripes`` times that of the global vector. Class scores are those of the global vector.

    Two images are compared by the cosine distances of their pooled stripes that show a key point in both, and of their
    reduced global vectors, all with equal weights (:class:`gaaplib.distances.PartDistances`).

    ``attention`` and ``pooling`` are GAAP's and may be given. There is no neck.

    Options:
        parts: number of stripes.
        dim: of the reduced vectors.
        stripes: share of the stripes' losses, from 0 to 1.
        noise: ``none``, or ``network`` for key points as a pose network would give them, which differ by some pixels
            and miss some (:func:`gaaplib.datasets.keypoints.noisy`). Drawn images have exact ones.

    The released code (lightas/ICCV19_Pose_Guided_Occluded_Person_ReID) draws the Gaussians as images of 8 bits and
    resizes them; here they are computed at the positions of the feature map.
    """

    compared = ("embedding", "visibility")

    @staticmethod
    def distances(query, gallery, metric, model=None):
        return PartDistances(query["embedding"], gallery["embedding"], query["visibility"], gallery["visibility"])

    @staticmethod
    def comparison(metric):
        return "embedding and visibility, by gaaplib.distances.PartDistances"

    def _inputs_beside(self):
        return {"keypoints": keras.Input((17, 3), dtype="float32", name="keypoints")}

    def _backbone(self, initializer):
        """The backbone, and the key points beside its map."""
        lower, upper = super()._backbone(initializer)
        points = self._inputs_beside()["keypoints"]
        seen = {"images": lower.input, "keypoints": points}
        beside = keras.layers.Identity(dtype="float32", name="points")(points)
        return keras.Model(seen, [lower.output, beside], name="backbone"), upper

    def _connect(self, partners, groups, **seen):
        return self._head(self._attended(seen, partners), groups)

    def _make_head(self):
        config, options = self.config, self.options
        _, rows, columns, _ = (self._upper.output if self._upper else self._lower.output[0]).shape
        sigma = VARIANCE * config.height * config.width
        self._parts, self._map_rows = stripes(rows, options["parts"]), rows
        self._point_maps = PointMaps(rows, columns, config.height, config.width, sigma, name="point_maps")
        self._dropouts = [keras.layers.Dropout(config.dropout, name=name) for name in ("dropout", "dropout2")]
        self._reduction = Reduction(options["dim"], use_bias=True, relu=False, name="reduction")
        self._whole_reduction = Reduction(options["dim"], use_bias=True, relu=False, name="whole_reduction")
        self._classifiers = classifiers(len(self._parts), self.num_classes)
        self._whole_classifier = classifiers(1, self.num_classes, "whole_classifier")

    def _make_losses(self):
        # The loss of "parts" is their mean.
        loss, share = CrossEntropy(self.config.label_smoothing), self.options["stripes"]
        return {"parts": (loss, share * len(self._parts)), "logits": (loss, 1.0 - share)}

    def _head(self, features, groups=None):
        maps, points = features
        if self._upper is not None:
            maps = self._upper(maps)
        pooled = ops.cast(pooled_stripes(maps, self._pooling, self._parts, groups), "float32")
        whole = self._reduced(self._whole_reduction, self._whole(maps, points, groups)[:, None])
        outputs = {"logits": self._whole_classifier(self._dropouts[1](whole))[:, 0]}
        visible = visible_stripes(points, self._parts, self._map_rows, self.config.height)
        outputs |= _as_parts(pooled, whole[:, 0], visible)
        if groups is None:
            return outputs
        reduced = self._dropouts[1](self._reduced(self._reduction, pooled))
        return outputs | {"parts": self._classifiers(reduced)}

    def _whole(self, maps, points, groups):
        """The pooled map, and the maximum of the maps pooled about each key point: (batch, 2 * channels)."""
        about = self._point_maps(with_neck(points))
        maps = ops.cast(maps, "float32")
        guided = ops.einsum("bhwc,bhwp->bpc", maps, about) / (maps.shape[1] * maps.shape[2])
        whole = ops.cast(self._pooling(maps, groups=groups), "float32")
        return ops.concatenate([whole, ops.max(guided, axis=1)], axis=1)

    def _reduced(self, reduction, vectors):
        return ops.cast(reduction(self._dropouts[0](vectors)), "float32")


def _as_parts(stripes, whole, visible):
    """What :class:`PartDistances` takes: the stripes' directions by their visibility, and the whole's, always seen."""
    seen = ops.normalize(stripes, axis=2) * visible[:, :, None]
    flat = ops.reshape(seen, (-1, stripes.shape[1] * stripes.shape[2]))
    embedding = ops.concatenate([flat, ops.normalize(whole, axis=1)], axis=1)
    return {"embedding": embedding, "visibility": ops.concatenate([visible, ops.ones_like(visible[:, :1])], axis=1)}
