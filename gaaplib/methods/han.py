"""A stand-in for HAN (Chen et al., Neurocomputing 2021): HA-CNN (Li et al., CVPR 2018), another paper's method."""

import keras
from keras import ops

from gaaplib.methods.gaap import Gaap
from gaaplib.network import harmonious
from gaaplib.network.heads import reduced
from gaaplib.network.losses import CrossEntropy

DEFAULTS = {
    "attention": "none",
    "neck": "none",
    "sampler": "shuffled",
    "dropout": 0.0,
    "distance": "euclidean",
}
OPTIONS = {"dim": 512}
LIMITS = {"dim": (1, 65536)}
ONLY = {"neck": "none", "weights": None, "stem": "relu", "attention_at": "last", "dropout": 0.0, "margin": 0.3}


class Han(Gaap):
    """A global stream with a soft attention in each stage, and a local one that looks at four bands of the image.

    NOT the method that Table IV names: of that one neither text nor code was found. This is the "harmonious attention
    network" of an earlier paper with a similar name, as in the authors' torchreid
    (:mod:`gaaplib.network.harmonious`). It stands in its place.

    The global map is pooled and the local vectors are joined; each is reduced to ``dim`` values by a linear layer,
    batch normalisation and a ReLU, and has a classifier. The loss is the mean of both cross-entropies. Images are
    compared by both vectors, of length 1 each, one after the other, by the Euclidean distance. Class scores are the
    mean logits.

    The network is its own, so ``backbone`` is not used and what belongs to one is refused. ``attention`` is GAAP's, on
    the global map, and ``pooling`` is that of the global map; both may be given. Theirs is for images of 160 x 64; any
    size from 32 x 32 on may be given.

    Options:
        dim: of each of the two vectors.
    """

    def _backbone(self, initializer):
        return harmonious.network(self.config.height, self.config.width), None

    def _make_head(self):
        self._whole, self._local = (reduced(self.options["dim"], name=name) for name in ("whole", "local"))
        self._classifiers = [self._classifier(name) for name in ("whole_classifier", "local_classifier")]

    def _classifier(self, name):
        return keras.layers.Dense(self.num_classes, kernel_initializer="he_normal", dtype="float32", name=name)

    def _make_losses(self):
        # The loss of "identities" is the mean of two. "logits" are only watched.
        identity = CrossEntropy(self.config.label_smoothing)
        return {"identities": (identity, 1.0), "logits": (identity, 0.0)}

    def _head(self, features, groups=None):
        maps, local = features
        vectors = [self._whole(self._pooling(maps, groups=groups)), self._local(local)]
        vectors = [ops.cast(vector, "float32") for vector in vectors]
        identities = ops.stack(
            [classify(vector) for classify, vector in zip(self._classifiers, vectors, strict=True)], axis=1
        )
        embedding = ops.concatenate([ops.normalize(vector, axis=1) for vector in vectors], axis=1)
        outputs = {"embedding": embedding, "logits": ops.mean(identities, axis=1)}
        return outputs if groups is None else outputs | {"identities": identities}
