"""FPR, foreground-aware pyramid reconstruction (He et al., ICCV 2019), as its authors' later code has it."""

import keras
from keras import ops

from gaaplib.evaluation.reconstruction import ReconstructionDistances
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.heads import bnneck
from gaaplib.network.losses import CrossEntropy, Mean, WeightedTriplet
from gaaplib.network.pyramid import Foreground, finest, pyramid, shares_of_person

DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "sampler": "identity_balanced",
    "label_smoothing": 0.12,
    "dropout": 0.0,
    "last_stride": 1,
    "margin": 0.3,
}
OPTIONS = {"masks": 0.0}
LIMITS = {"masks": (0.0, 100.0)}
ONLY = {"neck": "bnneck", "distance": "cosine", "dropout": 0.0}
# Theirs warms up for 500 batches and falls from epoch 20 on.
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 256,
    "epochs": 60,
    "learning_rate": 7e-4,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "warmup_epochs": 10,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "erase": 0.5,
    "eraser": "bot",
}


class Fpr(Gaap):
    """Compares two images by how well the windows of one can be put together from those of the other.

    Windows of several sizes over the feature map give a vector each (:func:`gaaplib.network.pyramid.pyramid`). A
    foreground weight is learnt for each window, by the losses of identity alone. The mean of the smallest windows by
    their weights, and the pooled map, each have a BNNeck, a classifier with a smoothed cross-entropy, and before the
    neck a triplet loss of distances weighted as AGW's, with the margin: four losses of weight 1. Class scores are the
    mean logits.

    Images are compared by the cosine distance of the foreground's normalised vector. For the 100 nearest images of a
    query, half of the distance is the residual of its windows, weighted by its foreground, after their ridge
    regression on the windows of the gallery image
    (:class:`gaaplib.evaluation.reconstruction.ReconstructionDistances`). Heat maps are of the vector alone.

    ``attention`` is GAAP's, and ``pooling`` is that of the whole map; both may be given. It needs P x K batches.

    Options:
        masks: weight of one more loss, which teaches the foreground weights from masks of the training images
            (:mod:`gaaplib.datasets.masks`): the binary cross-entropy between the weight of a window, before the
            normalisation, and the share of it that shows the person. It is ours; neither paper nor code has one. 0:
            there is none, and no masks are read.

    No code of this name was found. The authors' rewrite (projects/PartialReID of JDAI-CV/fast-reid) chooses the
    residual's share of the distance by the rank-1 on the test set. Here it is 0.5 before any test.
    """

    compared = ("embedding", "parts", "weights")

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    @staticmethod
    def distances(query, gallery, metric, model=None):
        return ReconstructionDistances(query, gallery)

    @staticmethod
    def comparison(metric):
        return "embedding, parts and weights, by gaaplib.evaluation.reconstruction.ReconstructionDistances"

    def _make_head(self):
        _, rows, columns, _ = (self._upper or self._lower).output.shape
        self._foreground = Foreground(finest(rows, columns), name="foreground")
        sides = ("foreground", "whole")
        self._necks = {side: bnneck(f"{side}_neck") for side in sides}
        self._classifiers = {side: self._classifier(f"{side}_classifier") for side in sides}

    def _classifier(self, name):
        small = keras.initializers.RandomNormal(stddev=0.001)
        return keras.layers.Dense(
            self.num_classes, use_bias=False, kernel_initializer=small, dtype="float32", name=name
        )

    def _make_losses(self):
        # The loss of "identities" is the mean of two. "logits" are only watched.
        identity, triplet = CrossEntropy(self.config.label_smoothing), WeightedTriplet(self.config.margin)
        found = {"identities": (identity, 2.0), "logits": (identity, 0.0)}
        found |= {"foreground": (triplet, 1.0), "whole": (triplet, 1.0)}
        return found | {"shown": (Mean(), self.options["masks"])} if self.options["masks"] else found

    def _further_inputs(self):
        found, config = super()._further_inputs(), self.config
        masks = keras.Input((config.height, config.width), dtype="uint8", name="masks")
        return found | {"masks": masks} if self.options["masks"] else found

    def _connect(self, images, partners, groups, masks=None):
        found = super()._connect(images, partners, groups)
        if masks is None:
            return found
        _, rows, columns, _ = (self._upper or self._lower).output.shape
        error = keras.losses.binary_crossentropy(shares_of_person(masks, rows, columns), found["shown"])
        return found | {"shown": error}

    def _head(self, features, groups=None):
        if self._upper is not None:
            features = self._upper(features)
        windows = pyramid(features)
        weights, foreground = self._foreground(windows)
        whole = ops.cast(self._pooling(features, groups=groups), "float32")
        pooled = {"foreground": foreground, "whole": whole}
        normalised = {side: self._necks[side](vector) for side, vector in pooled.items()}
        identities = ops.stack([self._classifiers[side](vector) for side, vector in normalised.items()], axis=1)
        outputs = {"embedding": normalised["foreground"], "logits": ops.mean(identities, axis=1)}
        if groups is None:
            # In 16 bits, because a gallery has many: the windows of an image take as much memory as it does itself.
            parts = ops.cast(ops.normalize(ops.cast(windows, "float32"), axis=2), "float16")
            return outputs | {"parts": parts, "weights": weights}
        return outputs | pooled | {"identities": identities, "shown": self._foreground.shown(windows)}
