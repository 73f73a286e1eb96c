"""MGN, the multiple granularity network (Wang et al., ACM Multimedia 2018)."""

import keras
from keras import ops

from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.backbones import BACKBONES
from gaaplib.network.losses import BatchHardTriplet, CrossEntropy
from gaaplib.network.parts import Reduction, classifiers, pooled_stripes, stripes

DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "pooling": "max",
    "sampler": "identity_balanced",
    "label_smoothing": 0.0,
    "margin": 1.2,
    "dropout": 0.0,
    "last_stride": 1,
}
OPTIONS = {"dim": 256, "identified": "pooled"}
LIMITS = {"dim": (1, 65536), "identified": ("pooled", "reduced")}
ONLY = {"neck": "none", "attention_at": "last", "dropout": 0.0}
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 64,
    "epochs": 80,
    "learning_rate": 0.01,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "steps",
    "warmup_epochs": 0,
    "steps": "41 61",
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
}

STRIPES = (1, 2, 3)
"""Of the three branches."""

TRUNK = 3
"""The stage whose first block ends the trunk; He et al. number it 4."""


class Mgn(Gaap):
    """A trunk, then three copies of the rest of the backbone that see the whole map, two halves and three thirds of it.

    The trunk ends with the first block of the third stage; with a VGG, with that stage. The copies start from equal
    weights. The first keeps a stride of 2 in its last stage, the others have ``last_stride``. Each gives a vector of
    its whole map, and the second and third also one of each stripe: eight in all, each with its own reduction to
    ``dim``. Eight cross-entropies and a batch-hard triplet loss on each of the three reduced whole vectors have equal
    weights. Images are compared by the eight reduced vectors, one after the other. Class scores are the mean logits.

    ``attention`` is GAAP's, on the trunk's map, and ``pooling`` is that of all vectors; both may be given. There is no
    neck. It needs P x K batches.

    Options:
        dim: of a reduced vector.
        identified: ``pooled`` or ``reduced``: which of a whole map's two vectors is classified.

    No code of the authors was found. Two copies, levyfan/reid-mgn and seathiefwang/MGN-pytorch, differ: this is the
    former, which agrees with the paper's figure. They also add the embedding of the mirrored image, which no method
    does here.
    """

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)

    @property
    def slow_weights(self):
        return [weight for part in (self._lower, *self._branches) for weight in part.trainable_weights]

    def _backbone(self, initializer):
        trunk, first = self._cut(2, initializer)
        self._branches = [first]
        for number in range(1, len(STRIPES)):
            branch = self._cut(self.config.last_stride, initializer, number)[1]
            branch.set_weights(first.get_weights())
            self._branches.append(branch)
        return trunk, None

    def _cut(self, last_stride, initializer, number=0):
        """A backbone in two: up to the end of the trunk, and the rest."""
        ends = []

        def insert(x, stage, left):
            if stage == TRUNK:
                ends.append(x)
            return x

        backbone = BACKBONES[self.config.backbone](
            height=self.config.height,
            width=self.config.width,
            last_stride=last_stride,
            kernel_initializer=initializer,
            weights=self.config.weights,
            stem=self.config.stem,
            insert=insert,
        )
        trunk = keras.Model(backbone.input, ends[0], name="backbone")
        return trunk, keras.Model(ends[0], list(backbone.output.values())[-1], name=f"branch{number + 1}")

    def _make_head(self):
        counted = zip(self._branches, STRIPES, strict=True)
        self._stripes = [self._parts_of(branch.output.shape[1], count) for branch, count in counted]
        wholes, parts = len(STRIPES), sum(STRIPES[1:])
        self._reduction = Reduction(self.options["dim"], name="reduction")
        self._whole_classifiers = classifiers(wholes, self.num_classes, "whole_classifiers")
        self._part_classifiers = classifiers(parts, self.num_classes, "part_classifiers")

    def _parts_of(self, rows, count):
        return stripes(rows, count)

    def _make_losses(self):
        wholes, parts = len(STRIPES), sum(STRIPES[1:])
        identity, triplet = CrossEntropy(self.config.label_smoothing), self._metric_loss()
        each = 1.0 / (wholes + parts + wholes)
        # "logits" are only watched.
        found = {"wholes": (identity, wholes * each), "parts": (identity, parts * each), "logits": (identity, 0.0)}
        return found | {f"whole{number + 1}": (triplet, each) for number in range(wholes)}

    def _metric_loss(self):
        return BatchHardTriplet(self.config.margin)

    def _maps(self, features):
        """The maps of the three branches, (batch, height, width, channels)."""
        return [branch(features) for branch in self._branches]

    def _head(self, features, groups=None):
        wholes, parts = [], []
        for seen, rows in zip(self._maps(features), self._stripes, strict=True):
            wholes.append(self._pooling(seen, groups=groups))
            if len(rows) > 1:
                parts.append(pooled_stripes(seen, self._pooling, rows, groups))
        pooled = ops.concatenate([ops.stack(wholes, axis=1), *parts], axis=1)
        reduced = self._reduction(pooled)
        number = len(STRIPES)
        identified = (pooled if self.options["identified"] == "pooled" else reduced)[:, :number]
        of_wholes, of_parts = self._whole_classifiers(identified), self._part_classifiers(reduced[:, number:])
        logits = ops.mean(ops.concatenate([of_wholes, of_parts], axis=1), axis=1)
        embedding = ops.cast(ops.reshape(reduced, (-1, reduced.shape[1] * reduced.shape[2])), "float32")
        outputs = {"embedding": embedding, "logits": logits}
        if groups is None:
            return outputs
        each = {f"whole{place + 1}": ops.cast(reduced[:, place], "float32") for place in range(number)}
        return outputs | {"wholes": of_wholes, "parts": of_parts} | each
