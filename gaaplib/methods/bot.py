"""BoT, the bag of tricks (Luo et al., CVPR Workshops 2019; IEEE TMM 2019), the usual baseline of the field."""

from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.heads import Centres, MarginClassifier
from gaaplib.network.losses import BatchHardTriplet, Circle, CrossEntropy, Mean

DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "sampler": "identity_balanced",
    "label_smoothing": 0.1,
    "margin": 0.3,
    "dropout": 0.0,
}
OPTIONS = {"centre": 5e-4, "metric": "triplet", "classifier": "linear"}
LIMITS = {"centre": (0.0, 100.0), "metric": ("triplet", "circle"), "classifier": ("linear", "arc", "cos")}
ONLY = {"metric=circle": {"margin": 0.3}}
RECIPE = {
    "height": 256,
    "width": 128,
    "last_stride": 1,
    "stem": "linear",
    "batch_size": 64,
    "sampler": "chunks",
    "epochs": 120,
    "learning_rate": 3.5e-4,
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


class Bot(Gaap):
    """Smoothed cross-entropy behind a BNNeck, and before it the batch-hard triplet loss and a centre loss.

    The losses on the pooled vector and on the normalised one do not disturb each other, which is what the neck is for.
    The other tricks are settings of a run: ``last_stride``, ``warmup_epochs``, ``label_smoothing``, ``erase``. Images
    are compared by the cosine distance of the normalised vectors. ``attention`` and ``pooling`` may be given, too.

    Options:
        centre: weight of the centre loss; 0 leaves it out.
        metric: ``triplet``, or ``circle`` for the circle loss of pairs (Sun et al. 2020), which is not BoT's and has a
            margin of its own.
        classifier: ``linear``; or ``arc`` or ``cos`` for one with an angular margin
            (:class:`gaaplib.network.heads.MarginClassifier`), which is not BoT's.

    The released code (michuanhaohao/reid-strong-baseline) has no ReLU after the first convolution's normalisation, and
    decays biases, too. Both are so in the profile ``own`` alone. It needs P x K batches.
    """

    classifier_stddev = 0.001

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    def _make_losses(self):
        found = {
            "logits": (CrossEntropy(self.config.label_smoothing), 1.0),
            "pooled": (self._metric_loss(), 1.0),
        }
        self._centres = None
        if self.options["centre"]:
            self._centres = Centres(self.num_classes, name="centres")
            found["centre"] = (Mean(), self.options["centre"])
        return found

    def _metric_loss(self):
        return BatchHardTriplet(self.config.margin) if self.options["metric"] == "triplet" else Circle()

    def _make_head(self):
        super()._make_head()
        kind = self.options.get("classifier", "linear")
        if kind != "linear":
            self._classifier = MarginClassifier(self.num_classes, kind, name="classifier")

    def _logits(self, embedding, groups):
        if isinstance(self._classifier, MarginClassifier):
            return self._classifier(embedding, groups)
        return super()._logits(embedding, groups)

    def _head(self, features, groups=None):
        outputs = super()._head(features, groups)
        if groups is None or self._centres is None:
            return outputs
        # A group is the number of an identity.
        return outputs | {"centre": self._centres(outputs["pooled"], groups)}
