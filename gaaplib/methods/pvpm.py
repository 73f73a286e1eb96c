"""PVPM, pose-guided visible part matching (Gao et al., CVPR 2020), for persons of whom something hides a part."""

from keras import ops

from gaaplib.methods.method import Round
from gaaplib.methods.pgfa import Pgfa
from gaaplib.methods.triplet import check_batches
from gaaplib.network.losses import CrossEntropy, Mean
from gaaplib.network.parts import Reduction, classifiers, directions, pooled_stripes, stripes
from gaaplib.network.pose import PointMaps, with_neck
from gaaplib.network.visibility import LIMBS, LimbMaps, PairLosses, part_vectors, pose_network

NEEDS = ("keypoints",)
DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "dropout": 0.0,
    "sampler": "identity_balanced",
    "label_smoothing": 0.0,
    "last_stride": 1,
    "averaged_epochs": 0,
}
OPTIONS = {"parts": 6, "dim": 256, "poses": 0.33, "noise": "none"}
LIMITS = {"parts": (2, 10), "dim": (1, 65536), "poses": (0.01, 0.99), "noise": ("none", "network")}
ONLY = {"neck": "none", "distance": "cosine", "dropout": 0.0, "last_stride": 1, "margin": 0.3}
# Theirs is 60 epochs for the stripes, whose rate falls after 25 and 50, and 30 for the poses, after 15 and 25.
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 32,
    "epochs": 90,
    "learning_rate": 0.02,
    "backbone_rate": 0.5,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "warmup_epochs": 0,
    "steps": "26 51 76 86",
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
}

SIGMA, HALF = 1 / 96, 1 / 96
"""Deviation of a key point's Gaussian, and half the width of a limb, as shares of the height."""


class Pvpm(Pgfa):
    """Learns stripes first, and then from poses where each part of the person is and whether it is visible.

    In the first round the network is PCB's, with a reduction of its own for each of the ``parts`` stripes. In the
    second everything learnt stands still, and a small network on maps of the key points and limbs learns the places of
    the parts and their visibilities (:func:`gaaplib.network.visibility.pose_network`). Its losses, of weight 1 each,
    are the cross-entropies of the parts' vectors by the first round's classifiers, and those of pairs of images of one
    person (:class:`gaaplib.network.visibility.PairLosses`).

    Two images are compared by the cosine distances of their parts, weighted by the products of their visibilities
    (:class:`gaaplib.distances.PartDistances`). A part to which no position of the map belongs is invisible. Class
    scores are the mean logits of the parts.

    ``attention`` and ``pooling`` are GAAP's, the latter of the stripes, and may be given. There is no neck. It needs
    P x K batches, here in both rounds, and ``last_stride=1``.

    Options:
        parts: number of stripes and of parts.
        dim: of the reduced vectors.
        poses: share of ``epochs`` that the second round has.
        noise: as PGFA's.

    Each round has its own optimiser and begins with the whole rate. ``steps`` counts the epochs of both. Where theirs
    falls after 25 epochs, as PyTorch counts, ours is lower from epoch 26 on.

    The released code (hh23333/PVPM) takes maps of OpenPose; here they are drawn from given key points.
    """

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)
        self.begin(0)

    def next_round(self, number, labels, embed):
        # At least one epoch for the stripes, without which there is nothing to learn poses for.
        second = min(round(self.config.epochs * self.options["poses"]), self.config.epochs - 1)
        epochs = (self.config.epochs - second, second)
        return Round(labels, epochs[number]) if number < 2 and epochs[number] else None

    def begin(self, number):
        """In the first round all but the pose's network learns, in the second that alone."""
        learnt = (self._lower, self._upper, self._attention, self._pooling, self._reduction, self._classifiers)
        for layer in filter(None, learnt):
            layer.trainable = number == 0
        self._pose_network.trainable = number == 1
        of_round = ({"stripes"}, {"parts", "paired", "visible"})[number]
        self.losses = {
            name: (loss, self._weights[name] * (name in of_round)) for name, (loss, _) in self.losses.items()
        }

    def _make_head(self):
        config, options = self.config, self.options
        _, rows, columns, _ = (self._upper.output if self._upper else self._lower.output[0]).shape
        size = (4 * rows, 4 * columns, config.height, config.width)
        self._parts = stripes(rows, options["parts"])
        self._points = PointMaps(*size, SIGMA * config.height, name="point_maps")
        self._limbs = LimbMaps(*size, HALF * config.height, name="limb_maps")
        self._pose_network = pose_network(*size[:2], 18 + 2 * len(LIMBS), options["parts"])
        self._reduction = Reduction(options["dim"], use_bias=True, name="reduction")
        self._classifiers = classifiers(options["parts"], self.num_classes, use_bias=False)
        self._pair_losses = PairLosses(name="pair_losses")

    def _make_losses(self):
        # Those of stripes and parts are means.
        loss, count = CrossEntropy(self.config.label_smoothing), float(self.options["parts"])
        self._weights = {"stripes": count, "parts": count, "paired": 1.0, "visible": 1.0, "logits": 0.0}
        losses = {"stripes": loss, "parts": loss, "paired": Mean(), "visible": Mean(), "logits": loss}
        return {name: (each, self._weights[name]) for name, each in losses.items()}

    def _head(self, features, groups=None):
        maps, points = features
        if self._upper is not None:
            maps = self._upper(maps)
        eighteen = with_neck(points)
        drawn = ops.concatenate([self._points(eighteen), self._limbs(eighteen)], axis=3)
        places, visible = self._pose_network(drawn)
        vectors = part_vectors(maps, places)
        logits = self._classifiers(self._reduction(vectors))
        # A part that has no position shows nothing, whatever the network says of it.
        shown = visible * ops.cast(ops.any(places > 0.0, axis=(1, 2)), "float32")
        seen = directions(vectors) * shown[:, :, None]
        embedding = ops.reshape(seen, (-1, seen.shape[1] * seen.shape[2]))
        outputs = {"embedding": embedding, "visibility": shown, "logits": ops.mean(logits, axis=1)}
        if groups is None:
            return outputs
        pooled = pooled_stripes(maps, self._pooling, self._parts, groups)
        of_stripes = self._classifiers(self._reduction(pooled))
        found = {"stripes": of_stripes, "parts": logits, "logits": outputs["logits"]}
        return found | self._pair_losses([vectors, visible, groups])
