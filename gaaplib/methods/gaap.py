"""The paper's method: backbone, attention (Eq. 4-5), pooling (Eq. 6), softmax classifier."""

import keras
import numpy as np

from gaaplib.attention import ATTENTION
from gaaplib.methods.method import Method
from gaaplib.network.backbones import BACKBONES, copy_backbone_of_run
from gaaplib.network.heads import bnneck
from gaaplib.network.losses import CrossEntropy
from gaaplib.pooling import POOLING

ONLY = {"margin": 0.3}

INITIALIZERS = {
    "he": lambda: keras.initializers.HeNormal(),
    # The paper's "variance 0.01", taken as a variance and as a standard deviation.
    "gaussian0.1": lambda: keras.initializers.RandomNormal(stddev=0.1),
    "gaussian0.01": lambda: keras.initializers.RandomNormal(stddev=0.01),
}


class Gaap(Method):
    """Global average attention pooling. ``attention="none"`` is the baseline; the other settings are ablations.

    Every layer is created once and used in two models: in the training model, the batch gives the partners (Eq. 4) and
    the groups (``pool_over="class"``); in the inference model, every image is its own partner.
    """

    classifier_stddev = 0.01
    """Of the classifier's first weights."""

    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        initializer = INITIALIZERS[config.initializer]
        self._lower, self._upper = self._backbone(initializer())
        self._attention = ATTENTION[config.attention](
            key_dim=config.key_dim,
            value_dim=config.value_dim,
            alpha=config.alpha,
            kernel_initializer=initializer(),
            output_initializer="zeros" if config.attention_start == "identity" else None,
            name="attention",
        )
        self._pooling = POOLING[config.pooling](pool_over=config.pool_over, name="pooling")
        self._make_head()
        seen = {"images": keras.Input((config.height, config.width, 3), dtype="uint8", name="images")}
        seen |= self._inputs_beside()
        inputs = {**seen, **self._further_inputs()}
        self.losses = self._make_losses()
        outputs = self._connect(**inputs)
        trained = {name: outputs[name] for name in self.losses}
        self.training_model = keras.Model(inputs, trained, name="training")
        self.model = self._inference_model(seen if len(seen) > 1 else seen["images"])

    @property
    def slow_weights(self):
        return [weight for part in (self._lower, self._upper) if part for weight in part.trainable_weights]

    def start_from(self, files):
        """Take the backbone of the first run, up to where the attention is."""
        copy_backbone_of_run(self._lower, files[0])

    def batch_inputs(self, labels, rng):
        """The partner of each image (in validation the image itself), and the number of its identity as its group."""
        own = np.arange(len(labels), dtype="int32")
        partners = own if rng is None else choose_partners(labels, rng)
        return {"partners": partners, "groups": labels.astype("int32")}

    def _inputs_beside(self):
        """The inputs that the network sees beside the images, also at inference; ``NEEDS`` of the file names them."""
        return {}

    def _further_inputs(self):
        """The inputs of :meth:`batch_inputs`."""
        return {name: keras.Input((), dtype="int32", name=name) for name in ("partners", "groups")}

    def _make_head(self):
        """Make the layers between pooling and logits."""
        config = self.config
        self._neck = self._make_neck()
        self._dropout = keras.layers.Dropout(config.dropout, name="dropout") if config.dropout else None
        self._classifier = keras.layers.Dense(
            self.num_classes,
            use_bias=config.neck == "none",
            kernel_initializer=keras.initializers.RandomNormal(stddev=self.classifier_stddev),
            dtype="float32",
            name="classifier",
        )

    def _make_losses(self):
        return {"logits": (CrossEntropy(self.config.label_smoothing), 1.0)}

    def _backbone(self, initializer):
        """The backbone up to the feature map that attention is applied to, and the rest of it, or None."""
        config = self.config
        backbone = BACKBONES[config.backbone](
            height=config.height,
            width=config.width,
            last_stride=config.last_stride,
            kernel_initializer=initializer,
            weights=config.weights,
            stem=config.stem,
            insert=self._insert,
        )
        maps = list(backbone.output)
        at = maps[-1] if config.attention_at == "last" else config.attention_at
        if at not in maps:
            known = ", ".join([*maps, "last"])
            raise ValueError(f"attention_at={at!r} is not a map of {config.backbone}; known: {known}")
        lower = keras.Model(backbone.input, backbone.output[at], name="backbone")
        if at == maps[-1]:
            return lower, None
        upper = keras.Model(backbone.output[at], backbone.output[maps[-1]], name="backbone_after_attention")
        return lower, upper

    @property
    def _rows(self):
        """Rows of the last feature map."""
        return (self._upper or self._lower).output.shape[1]

    @property
    def _name(self):
        """Of the model for inference."""
        return type(self).__name__.lower()

    def _insert(self, x, stage, left):
        """What follows a block of the backbone: nothing. See ``insert`` in :mod:`gaaplib.network.backbones`."""
        return x

    def _make_neck(self):
        """What is between the pooled vector and the classifier: a BNNeck or nothing."""
        return keras.layers.Identity(name="neck") if self.config.neck == "none" else bnneck("neck")

    def _connect(self, images, partners, groups):
        """The outputs in training, from the inputs of the training model."""
        return self._head(self._attended(images, partners), groups)

    def _attended(self, images, partners=None):
        """The attended map; of a backbone with further outputs, a list of the attended map and of these."""
        found = self._lower(images)
        if not isinstance(found, list):
            return self._attention(found, partners=partners)
        return [self._attention(found[0], partners=partners), *found[1:]]

    def _inference_model(self, images):
        """From images, or a dict with them, to the outputs.

        Its layers "backbone", "attention" and "head" are where heat maps look.
        """
        features = self._attended(images)
        attended = keras.tree.map_structure(lambda part: keras.Input(part.shape[1:], dtype=part.dtype), features)
        head = keras.Model(attended, self._head(attended), name="head")
        return keras.Model(images, head(features), name=self._name)

    def _head(self, features, groups=None):
        """The outputs from the attended feature map (batch, height, width, channels); ``groups`` in training only."""
        if self._upper is not None:
            features = self._upper(features)
        pooled = self._pooling(features, groups=groups)
        embedding = self._neck(pooled)
        return {
            "pooled": keras.ops.cast(pooled, "float32"),
            "embedding": keras.ops.cast(embedding, "float32"),
            "logits": self._logits(self._dropout(embedding) if self._dropout else embedding, groups),
        }

    def _logits(self, embedding, groups):
        return self._classifier(embedding)


def choose_partners(labels, rng):
    """A partner for each image of a batch: another image of its identity, or itself if it is the only one.

    The images of an identity are put in a random order, and the partner of each is the next one.

    Args:
        labels: (batch,) identities.
        rng: a numpy generator.

    Returns:
        int32 (batch,): the index in the batch of each image's partner.
    """
    partners = np.arange(len(labels), dtype="int32")
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        partners[members] = np.roll(members, -1)
    return partners
