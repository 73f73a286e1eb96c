"""IANet, the interaction-and-aggregation network (Hou et al., CVPR 2019)."""

import keras

from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.blocks import InteractionAggregation
from gaaplib.network.losses import BatchHardTriplet, CrossEntropy

DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "sampler": "identity_balanced",
    "label_smoothing": 0.1,
    "margin": 0.3,
    "dropout": 0.0,
    "last_stride": 1,
}
OPTIONS = {"triplet": 1.0}
LIMITS = {"triplet": (0.0, 100.0)}
ONLY = {"neck": "bnneck", "triplet=0.0": {"margin": 0.3}}
# Of the successor's code; it fills what it erases with ImageNet's mean before the normalisation, here it is BoT's.
RECIPE = {
    "height": 256,
    "width": 128,
    "batch_size": 64,
    "epochs": 60,
    "learning_rate": 3.5e-4,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "steps": "21 41",
    "warmup_epochs": 0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "erase": 0.5,
    "eraser": "bot",
}

STAGES = (2, 3)
"""The stages that end with a block; He et al. number them 3 and 4."""


class Ianet(Gaap):
    """Softmax on a backbone with interaction-and-aggregation blocks after its second and third stage.

    The blocks (:class:`gaaplib.network.blocks.InteractionAggregation`) start as the identity. The pooled vector is
    normalised over the batch, with an offset, before its classifier, and compared by the cosine distance. The losses
    are a smoothed cross-entropy and a batch-hard triplet loss of cosine distances on the normalised vector.

    ``attention`` and ``pooling`` are GAAP's, behind the backbone, and may be given. It needs P x K batches.

    Options:
        triplet: weight of the triplet loss; 0 leaves it out, and is the loss of the paper as far as it is known.

    The released code (blue-blue272/ImgReID-IAnet) has the block and the network. Its classifier has a bias; ours has
    none, as the neck's offset before it gives each class one already. Its training is that of the successor (IAUnet):
    it has the triplet loss, and a loss of masks with a weight of 0.5, which is left out here.
    """

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    def _insert(self, x, stage, left):
        if left or stage not in STAGES:
            return x
        return InteractionAggregation(name=f"interaction{stage}")(x)

    def _make_neck(self):
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype="float32", name="neck")

    def _make_losses(self):
        losses = {"logits": (CrossEntropy(self.config.label_smoothing), 1.0)}
        if self.options["triplet"]:
            triplet = BatchHardTriplet(self.config.margin, distance="cosine")
            losses["embedding"] = (triplet, self.options["triplet"])
        return losses
