"""VPM, the visibility-aware part model (Sun et al., CVPR 2019), for images that show only part of a person.

The paper's Table IV calls it PLF.
"""

import keras
import numpy as np
from keras import ops

from gaaplib.distances import PartDistances
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.losses import CrossEntropy, Mean
from gaaplib.network.parts import Reduction, classifiers, stripes
from gaaplib.network.regions import KeepTop, RegionLosses, Regions

DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "dropout": 0.5,
    "sampler": "identity_balanced",
    "label_smoothing": 0.0,
    "margin": 1.0,
    "last_stride": 1,
}
OPTIONS = {"parts": 6, "dim": 256, "lowest": 0.5}
LIMITS = {"parts": (1, 64), "dim": (1, 65536), "lowest": (0.1, 1.0)}
ONLY = {"neck": "none", "distance": "cosine"}
# Their epoch has eight images of each identity, about half of Market-1501's: their epochs 80 and 130 are our 37 and 60.
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 64,
    "images_per_identity": 8,
    "epochs": 60,
    "learning_rate": 0.1,
    "backbone_rate": 0.1,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "warmup_epochs": 0,
    "steps": "38",
    "step_factor": 0.2,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
}

HIGHEST = 1.0833
"""Of the drawn shares of the height."""


class Vpm(Gaap):
    """Learns which of the person's regions an image shows, and compares those that both images show.

    In training the bottom of each image is cut off at random and the rest enlarged again. So it is known which of
    ``parts`` equal regions of the whole image each row of the feature map shows, and a locator learns to tell it from
    the map. A region's vector is the mean of the rows weighted by the locator's probabilities, and its visibility is
    their sum. Each region, and the whole map, has a reduction and a classifier. A region of which less than half is
    left is not classified.

    The loss is the regions' cross-entropies and the whole map's, each of weight 1, half the locator's cross-entropy,
    and three times a batch-hard triplet loss. It and retrieval compare two images by the distances of their regions'
    vectors of length 1, weighted by the products of visibilities (:class:`gaaplib.distances.PartDistances`). Class
    scores are those of the whole map.

    ``attention`` is GAAP's, and ``pooling`` is that of the whole map; both may be given. There is no neck. ``dropout``
    is before the locator and the reductions. It needs P x K batches, and a row of the map for each region.

    Options:
        parts: number of regions.
        dim: of the reduced vectors.
        lowest: smallest share of the height that is kept. The share is drawn from ``lowest`` to 1.0833, as in the
            released code, so some images stay whole.

    If weights are averaged, the statistics of batch normalisation are those of cropped images, as in training.

    The released code (YifanSun-ReID/VPM-reID) has one more class, which no image has, in each classifier.
    """

    compared = ("embedding", "visibility")

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    @staticmethod
    def distances(query, gallery, metric, model=None):
        return PartDistances(query["embedding"], gallery["embedding"], query["visibility"], gallery["visibility"])

    @staticmethod
    def comparison(metric):
        return "embedding and visibility, by gaaplib.distances.PartDistances"

    def batch_inputs(self, labels, rng):
        """Those of GAAP, and the share of each image's height that is kept: all of it in validation."""
        kept = np.ones(len(labels))
        if rng is not None:
            kept = np.minimum(1.0, rng.uniform(self.options["lowest"], HIGHEST, len(labels)))
        return super().batch_inputs(labels, rng) | {"kept": kept.astype("float32")}

    def _further_inputs(self):
        return super()._further_inputs() | {"kept": keras.Input((), dtype="float32", name="kept")}

    def _make_head(self):
        parts = self.options["parts"]
        # It refuses too few rows.
        stripes(self._rows, parts)
        self._keep_top = KeepTop(name="keep_top")
        self._dropout = keras.layers.Dropout(self.config.dropout, name="dropout")
        self._regions = Regions(parts, name="regions")
        self._reduction = Reduction(self.options["dim"], relu=False, name="reduction")
        self._classifiers = classifiers(parts + 1, self.num_classes)
        self._region_losses = RegionLosses(self.config.margin, name="region_losses")

    def _make_losses(self):
        # Their sums are in RegionLosses.
        own = {"identified": (Mean(), 1.0), "located": (Mean(), 0.5), "compared": (Mean(), 3.0)}
        return {"logits": (CrossEntropy(self.config.label_smoothing), 1.0)} | own

    def _connect(self, images, partners, groups, kept):
        features = self._attention(self._lower(self._keep_top(images, kept)), partners=partners)
        return self._head(features, groups, kept)

    def _head(self, features, groups=None, kept=None):
        if self._upper is not None:
            features = self._upper(features)
        vectors, visibility, scores, embedding = self._regions(features, self._dropout(features))
        whole = ops.cast(self._pooling(features, groups=groups), "float32")
        reduced = self._reduction(self._dropout(ops.concatenate([vectors, whole[:, None]], axis=1)))
        logits = self._classifiers(reduced)
        outputs = {"embedding": embedding, "visibility": visibility, "logits": logits[:, -1]}
        if groups is None:
            return outputs
        return outputs | self._region_losses([logits[:, :-1], scores, vectors, visibility, groups, kept])
