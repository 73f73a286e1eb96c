"""HCT, hierarchical clustering with batch-hard triplets (Zeng et al., CVPR 2020), which learns without identities."""

from keras import ops

from gaaplib.clustering import average_linkage, without_single
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.method import Round, share_of_epochs
from gaaplib.methods.triplet import check_batches
from gaaplib.network.losses import BatchHardTriplet

DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "sampler": "identity_balanced",
    "label_smoothing": 0.0,
    "margin": 0.5,
    "dropout": 0.0,
    "last_stride": 1,
    "distance": "euclidean",
    "averaged_epochs": 0,
}
OPTIONS = {"rounds": 10, "merged": 0.91}
LIMITS = {"rounds": (1, 1_000), "merged": (0.01, 0.99)}
ONLY = {"neck": "none", "dropout": 0.0, "label_smoothing": 0.0}
# Quoted from memory by the notes that this follows; no second source was found.
RECIPE = {
    "height": 256,
    "width": 128,
    "batch_size": 64,
    "epochs": 60,
    "learning_rate": 0.06,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "constant",
    "warmup_epochs": 0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "erase": 0.5,
    "eraser": "bot",
}


class Hct(Gaap):
    """Labels the images anew in each round by clusters of their embeddings, and trains on them with a triplet loss.

    At the beginning of a round each image is a cluster. The nearest clusters are merged, by the mean distance of their
    images, until a share of ``merged`` of them is gone. Images that are still alone are left out of the round. It
    trains with the batch-hard triplet loss on the pooled vector, by whose Euclidean distance images are compared. The
    next round begins from single images again. There are no class scores, so no closed protocol.

    The first clusters are those of the network that training starts from: without ``weights`` that is a random one,
    which tells apart little but colours. ``weights`` may be the ``model.keras`` of a run on another data set.

    ``attention`` and ``pooling`` are GAAP's and may be given. It needs P x K batches.

    Options:
        rounds: into which ``epochs`` are divided.
        merged: share of the images' clusters that are merged; 0.91 is 13 times 7 % of the images.

    Found were the abstract and quotations, no code: the authors' repository is empty. A first training that is longer
    than the others is said to be theirs; here all are of one length, and each begins with the whole learning rate.
    """

    supervised = False

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)
        self._rounds = min(self.options["rounds"], config.epochs)

    def next_round(self, number, labels, embed):
        if number == self._rounds:
            return None
        embeddings = embed(self.model)["embedding"]
        clusters = average_linkage(embeddings, max(1, round(len(embeddings) * (1.0 - self.options["merged"]))))
        found = without_single(clusters)
        several, needed = found.max() + 1, self.config.batch_size // self.config.images_per_identity
        if several < needed:
            raise ValueError(
                f"round {number + 1} of {self._rounds}: {several} clusters of several images, but each batch takes "
                f"images of {needed}: decrease batch_size or merged, or give more images"
            )
        return Round(found, share_of_epochs(self.config.epochs, number, self._rounds))

    def class_scores(self, outputs):
        return None

    def _make_head(self):
        """There are no layers between pooling and the loss."""

    def _make_losses(self):
        return {"pooled": (BatchHardTriplet(self.config.margin), 1.0)}

    def _head(self, features, groups=None):
        if self._upper is not None:
            features = self._upper(features)
        pooled = ops.cast(self._pooling(features, groups=groups), "float32")
        return {"embedding": pooled} if groups is None else {"pooled": pooled}
