"""Metric learning with the batch-hard triplet loss (Hermans et al. 2017), for the comparison in the paper's Fig. 9."""

import keras

from gaaplib.methods.gaap import Gaap
from gaaplib.network.losses import BatchHardTriplet


class Triplet(Gaap):
    """The networks of :class:`Gaap` with the triplet loss on the pooled vector instead of a classifier.

    The closed protocol needs class scores, so a linear classifier is trained as a probe: its gradient does not reach
    the rest of the network. It needs P x K batches.
    """

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    def _make_losses(self):
        probe = super()._make_losses()
        return {"pooled": (BatchHardTriplet(self.config.margin), 1.0), **probe}

    def _logits(self, embedding, groups):
        # Only in training: Grad-CAM of the probe needs the gradient.
        return self._classifier(embedding if groups is None else keras.ops.stop_gradient(embedding))


def check_batches(config):
    """Refuse batches that need not have several images of an identity, without which no triplet loss learns."""
    if config.sampler not in ("identity_balanced", "chunks"):
        raise ValueError(
            f"sampler={config.sampler!r}: the triplet loss needs several images per identity in a batch; "
            "use sampler='identity_balanced' and batch_size=32, which is 8 identities with 4 images each"
        )
    if config.images_per_identity < 2 or config.batch_size < 2 * config.images_per_identity:
        raise ValueError(
            f"images_per_identity={config.images_per_identity} and batch_size={config.batch_size}: the triplet loss "
            "needs at least two identities in a batch, with two images each"
        )
