"""PCB, the part-based convolutional baseline (Sun et al., ECCV 2018), without its refined pooling."""

import keras

from gaaplib.methods.gaap import Gaap
from gaaplib.network.losses import CrossEntropy
from gaaplib.network.parts import Reduction, classifiers, joined, pooled_stripes, stripes

DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "dropout": 0.5,
    "sampler": "shuffled",
    "label_smoothing": 0.0,
    "last_stride": 1,
}
OPTIONS = {"parts": 6, "dim": 256}
LIMITS = {"parts": (1, 64), "dim": (0, 65536)}
ONLY = {"neck": "none", "margin": 0.3}
RECIPE = {
    "height": 384,
    "width": 128,
    "batch_size": 64,
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


class Pcb(Gaap):
    """The feature map in horizontal stripes, each with its own classifier; their losses are summed.

    A stripe is pooled, reduced by a linear layer, batch normalisation and a ReLU, which the stripes share, and
    classified. ``dropout`` is before the reduction. Images are compared by the pooled vectors of the stripes, each of
    length 1, one after the other. Class scores are the mean of the stripes' logits.

    ``attention`` and ``pooling`` are GAAP's and may be given. There is no neck. The map needs a row for each stripe.

    Options:
        parts: number of stripes.
        dim: of the reduced vectors; 0 classifies the pooled vectors. With one part that is plain softmax.

    The released code (syfafterzy/PCB_RPP_for_reID) is for images of 384 x 128, whose 24 rows are divided equally. Here
    other heights may be given, and heights of stripes then differ by one row.
    """

    def _make_head(self):
        self._parts = stripes(self._rows, self.options["parts"])
        self._dropout = keras.layers.Dropout(self.config.dropout, name="dropout") if self.config.dropout else None
        dim = self.options["dim"]
        self._reduction = Reduction(dim, shared=True, name="reduction") if dim else None
        self._classifiers = classifiers(len(self._parts), self.num_classes)

    def _make_losses(self):
        # The loss of "parts" is their mean. "logits" are only watched.
        loss = CrossEntropy(self.config.label_smoothing)
        return {"parts": (loss, float(len(self._parts))), "logits": (loss, 0.0)}

    def _head(self, features, groups=None):
        if self._upper is not None:
            features = self._upper(features)
        pooled = pooled_stripes(features, self._pooling, self._parts, groups)
        reduced = self._dropout(pooled) if self._dropout else pooled
        reduced = self._reduction(reduced) if self._reduction else reduced
        logits = self._classifiers(reduced)
        outputs = {"embedding": joined(pooled), "logits": keras.ops.mean(logits, axis=1)}
        return outputs if groups is None else outputs | {"parts": logits}
