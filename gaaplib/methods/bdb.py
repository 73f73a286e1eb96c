"""BDB, the batch DropBlock network (Dai et al., ICCV 2019)."""

import keras
from keras import ops

from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.backbones import bottleneck
from gaaplib.network.heads import reduced
from gaaplib.network.losses import BatchHardTriplet, CrossEntropy
from gaaplib.network.parts import BatchDrop
from gaaplib.pooling import POOLING

DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "sampler": "identity_balanced",
    "label_smoothing": 0.1,
    "dropout": 0.0,
    "last_stride": 1,
    "distance": "euclidean",
}
OPTIONS = {"height": 0.33, "width": 1.0, "whole": 512, "part": 1024}
LIMITS = {"height": (0.0, 0.9), "width": (0.0, 1.0), "whole": (1, 65536), "part": (1, 65536)}
ONLY = {"neck": "none", "dropout": 0.0, "margin": 0.3}
# Their epoch has four images of each identity, less than a quarter of Market-1501's: their epochs 50, 200, 300 and 400
# are our 12, 47, 70 and 93. Their warm-up rises every five epochs, ours every epoch.
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 128,
    "epochs": 93,
    "learning_rate": 1e-3,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "steps": "47 70",
    "warmup_epochs": 12,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "erase": 0.5,
    "eraser": "cutout",
}


class Bdb(Gaap):
    """Two branches, of which one does not see a band of the feature map that is dropped for a whole batch.

    The first pools the map and reduces it to ``whole`` values. The second has one more bottleneck block, the drop, a
    maximum over positions, and a reduction to ``part`` values. Each has a smoothed cross-entropy and a batch-hard
    triplet loss with a soft margin, which makes four losses of equal weight. Nothing is dropped at inference. Images
    are compared by both vectors, one after the other, by the Euclidean distance. Class scores are the mean logits.

    ``attention`` is GAAP's, before both branches, and ``pooling`` is that of the first; both may be given. There is no
    neck, and no ``margin``. It needs P x K batches.

    Options:
        height, width: shares of the map that are dropped. For persons the released code (daizuozhuo/batch-dropblock-
            network) drops a third of the height over the full width.
        whole, part: dimensions of the two vectors.
    """

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    def _make_head(self):
        options = self.options
        self._bottleneck = bottleneck((self._upper or self._lower).output.shape[1:], name="part_block")
        self._drop = BatchDrop(options["height"], options["width"], name="drop")
        self._maximum = POOLING["max"](name="part_pooling")
        self._whole = reduced(options["whole"], name="whole")
        self._part = reduced(options["part"], name="part")
        self._classifiers = {side: self._classifier(f"{side}_classifier") for side in ("whole", "part")}

    def _classifier(self, name):
        fan_out = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        return keras.layers.Dense(self.num_classes, kernel_initializer=fan_out, dtype="float32", name=name)

    def _make_losses(self):
        # The loss of "identities" is the mean of two. "logits" are only watched.
        identity, triplet = CrossEntropy(self.config.label_smoothing), BatchHardTriplet("soft")
        found = {"identities": (identity, 2.0), "logits": (identity, 0.0)}
        return found | {"whole": (triplet, 1.0), "part": (triplet, 1.0)}

    def _head(self, features, groups=None):
        if self._upper is not None:
            features = self._upper(features)
        vectors = {
            "whole": self._whole(self._pooling(features, groups=groups)),
            "part": self._part(self._maximum(self._drop(self._bottleneck(features)))),
        }
        vectors = {side: ops.cast(vector, "float32") for side, vector in vectors.items()}
        identities = ops.stack([self._classifiers[side](vector) for side, vector in vectors.items()], axis=1)
        outputs = {
            "embedding": ops.concatenate(list(vectors.values()), axis=1),
            "logits": ops.mean(identities, axis=1),
        }
        return outputs if groups is None else outputs | vectors | {"identities": identities}
