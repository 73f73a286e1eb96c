"""Where in an image a trained model looks: maps of its attention, and Grad-CAM beside them as the comparison.

A map is float32 (height, width) on the grid of the attention's feature map, not negative, and sums to one, so that
the maps of all kinds are shares and can be set side by side. A map that says nothing about where (Grad-CAM without a
positive value, features that are all zero) is uniform: it has to sum to one, and prefers no place.
"""

import re
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import ops
from PIL import Image

from gaaplib.network import layers

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
PARTS = ("backbone", "attention", "pooling", "neck", "classifier")
# Cosine from which two embeddings are the same but for rounding, and their similarity has no gradient left.
SAME = 1.0 - 1e-6


def heatmap(model, images, kind="received", *, position=None, label=None, others=None, layer=None, batch_size=64):
    """Where a model looks in some images.

    Args:
        model: of a run (:meth:`gaaplib.runs.Run.model`), from images to outputs, with an attention layer.
        images: uint8 (n, height, width, 3), of the size that the model takes.
        kind: a key of ``KINDS``:

            - ``"received"``: the attention that a position receives, the column mean of Eq. 4's softmax matrix. With
              average pooling and no bias it is the weight of the position's feature in what the block adds to the
              embedding (Eq. 4-6).
            - ``"rollout"``: where ``position`` attends: its row of 0.5 A + 0.5 I, attention rollout (Abnar and
              Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020) of the one block, whose residual
              connection (Eq. 5) is the identity I.
            - ``"energy"``: the mean square of the block's output (Eq. 5) over the channels.
            - ``"gradcam"``: Grad-CAM (Selvaraju et al., ICCV 2017) of the logit of ``label`` on the block's output.
              The classifier of ``triplet`` is a probe that taught the network nothing; its Grad-CAM is the probe's.
            - ``"gradcam_match"``: Grad-CAM of the cosine similarity to the embedding of ``others``, which stays as it
              is. A cosine knows no length, so that the places with a part in it are those that are more like the
              other image than this image is on the whole. Uniform where both images have the same embedding, which
              nothing could bring closer.

            The weights of ``nonlocal`` are of either sign: their sizes (absolute values) are taken, for the rollout
            with each row divided by its sum. Without attention, each position keeps itself: received is uniform.
        position: (row, column) in the grid; only ``"rollout"`` reads it, and needs it.
        label: class of the classifier from 0, one for all images or (n,); None: the likeliest of each image. Only
            ``"gradcam"`` reads it.
        others: uint8 (n, height, width, 3), the image that each one is compared with; only ``"gradcam_match"`` reads
            it, and needs it.
        layer: a stage of the backbone, one of :func:`stages`, whose features are taken in place of those after
            attention; for a kind in ``AT_ANY_LAYER``.
        batch_size: images at once.

    Returns:
        float32 (n, rows, columns), not negative, each map sums to one; see :func:`grid` and :func:`upsample`.

    Raises:
        ValueError: a model without attention, images that are not what it takes, an unknown kind, a position, a label
            or a layer that is not there, or features that are not finite.
    """
    network = _opened(model, layer)
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; known: {', '.join(KINDS)}")
    if layer is not None and kind not in AT_ANY_LAYER:
        raise ValueError(f"kind={kind!r} is of the attention itself; with layer={layer!r}: {', '.join(AT_ANY_LAYER)}")
    images = _checked_images(model, images, "images")
    choice = None
    if kind == "rollout":
        choice = np.full(len(images), _checked_position(position, grid(model)))
    elif kind == "gradcam" and label is not None:
        choice = _checked_labels(label, len(images), network.classifier.units)
    elif kind == "gradcam_match":
        choice = _checked_others(model, others, len(images))
    parts = []
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        outputs = network.predict_on_batch(images[rows])
        parts.append(_MAPS[kind](network, outputs, None if choice is None else choice[rows]))
    return _shares(np.concatenate(parts)).reshape(len(images), *grid(model, layer))


def attention_matrix(model, images, *, batch_size=64):
    """The attention weights themselves: Eq. 4's softmax matrix, with each image as its own partner.

    Args:
        model, images, batch_size: as of :func:`heatmap`.

    Returns:
        float32 (n, N, N) with N = rows * columns of :func:`grid`, row by row; entry [m, n] is how much position m
        attends to n. Rows sum to one, but for ``nonlocal``, whose dot products are of either sign.
    """
    network = _opened(model)
    images = _checked_images(model, images, "images")
    starts = range(0, len(images), batch_size)
    return np.concatenate([network.predict_on_batch(images[s : s + batch_size])["matrix"] for s in starts])


def grid(model, layer=None):
    """(rows, columns) of the feature map that the model's attention works on, or of a stage of its backbone."""
    return _opened(model, layer).shape


def stages(model):
    """Names of the backbone's stages up to the attention (:mod:`gaaplib.network.backbones`): stage1, stage2, ..."""
    return tuple(_stage_ends(_opened(model).lower))


def upsample(maps, height, width, interpolation="bilinear"):
    """Maps at the resolution of their images; cell and pixel centres are half a step from the edge, as in Pillow.

    Args:
        maps: (n, rows, columns), not negative.
        height, width: pixels.
        interpolation: ``"nearest"`` shows the true cells; ``"bilinear"`` and ``"bicubic"`` (a = -0.5; what it
            undershoots is cut off at zero) look smoother than what is known.

    Returns:
        float32 (n, height, width), not negative, each sums to one.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation={interpolation!r} is not known; known: {', '.join(INTERPOLATIONS)}")
    maps = np.asarray(maps, "float32")
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"maps have the shape {maps.shape}; expected (n, rows, columns), none of them 0")
    method = INTERPOLATIONS[interpolation]
    resized = [np.asarray(Image.fromarray(one).resize((width, height), method)) for one in maps]
    return _shares(np.maximum(resized, 0.0))


class _Network(keras.Model):
    """A run's model taken apart at its attention; its layers are the run's own."""

    def __init__(self, model):
        super().__init__(name=f"{model.name}_opened")
        found = {layer.name: layer for layer in model.layers}
        missing = [name for name in PARTS if name not in found]
        if missing:
            raise ValueError(
                f"the model {model.name!r} has no attention to show: it lacks {', '.join(missing)}; "
                "give the model of a run with method='gaap' or 'triplet'"
            )
        self.lower, self.attention, self.pooling, self.neck, self.classifier = (found[name] for name in PARTS)
        self.upper = found.get("backbone_after_attention", keras.layers.Identity())
        self.shape = tuple(self.lower.output_shape[1:3])

    def call(self, images):
        """(batch, height, width, 3) -> matrix (batch, N, N), features (batch, rows, columns, channels), and head's."""
        maps = self.lower(images, training=False)
        matrix = self.attention.attention_map(maps)
        features = ops.cast(self.attention(maps, training=False), "float32")
        return {"matrix": ops.cast(matrix, "float32"), "features": features, **self.head(features)}

    def head(self, features):
        """What follows attention: (batch, rows, columns, channels) -> embedding and logits, (batch, ...) in float32."""
        pooled = self.pooling(self.upper(features, training=False), training=False)
        # Not the model's own outputs: a method may stop the gradient before its classifier.
        embedding = ops.cast(self.neck(pooled, training=False), "float32")
        return {"embedding": embedding, "logits": ops.cast(self.classifier(embedding), "float32")}


class _Stage(_Network):
    """A run's model taken apart within its backbone, behind one of its stages."""

    def __init__(self, model, stage):
        super().__init__(model)
        ends = _stage_ends(self.lower)
        if stage not in ends:
            raise ValueError(f"layer={stage!r} is no stage before the attention; known: {', '.join(ends)}")
        features = ends[stage].output
        self.before = keras.Model(self.lower.input, features)
        # Keras makes no model from a tensor to itself.
        is_last = stage == list(ends)[-1]
        self.between = keras.layers.Identity() if is_last else keras.Model(features, self.lower.output)
        self.shape = tuple(features.shape[1:3])

    def call(self, images):
        """(batch, height, width, 3) -> features (batch, rows, columns, channels) of the stage, and head's."""
        features = ops.cast(self.before(images, training=False), "float32")
        return {"features": features, **self.head(features)}

    def head(self, features):
        """What follows the stage; as :meth:`_Network.head`."""
        attended = self.attention(self.between(features, training=False), training=False)
        return super().head(ops.cast(attended, "float32"))


def _stage_ends(backbone):
    """``{name of the stage: its last layer}``; a ResNet's conv1 is its stem, in front of stage 1, its conv2."""
    ends = {}
    for layer in backbone.layers:
        found = re.match(r"(conv|block)(\d+)_(?!conv$|bn$|pad$|relu$)", layer.name)
        if found:
            ends[f"stage{int(found[2]) - (found[1] == 'conv')}"] = layer
    return ends


_networks = WeakKeyDictionary()


def _opened(model, layer=None):
    """The model taken apart, the same one in each call, so that it is traced once; it goes with the model."""
    opened = _networks.setdefault(model, {})
    if layer not in opened:
        opened[layer] = _Network(model) if layer is None else _Stage(model, layer)
    return opened[layer]


# The maps, not yet shares: outputs of a _Network and a choice for each image -> (batch, ...).


def _received(network, outputs, choice):
    return np.abs(outputs["matrix"]).mean(axis=1)


def _rollout(network, outputs, positions):
    matrix = np.abs(outputs["matrix"])
    rows = matrix[np.arange(len(matrix)), positions]
    return 0.5 * _shares(rows) + 0.5 * np.eye(rows.shape[1])[positions]


def _energy(network, outputs, choice):
    return np.square(outputs["features"], dtype="float64").mean(axis=-1)


def _gradcam(network, outputs, labels):
    labels = outputs["logits"].argmax(axis=1) if labels is None else labels
    chosen = np.eye(outputs["logits"].shape[1], dtype="float32")[labels]

    def score(features):
        return ops.multiply(network.head(features)["logits"], chosen)

    return _class_activation(score, outputs["features"])


def _gradcam_match(network, outputs, others):
    targets = _unit(network.predict_on_batch(others)["embedding"])
    cosines = (_unit(outputs["embedding"]) * targets).sum(axis=1)

    def score(features):
        return ops.multiply(ops.normalize(network.head(features)["embedding"], axis=1), targets)

    maps = _class_activation(score, outputs["features"])
    return np.where(cosines[:, None, None] < SAME, maps, 0.0)


def _class_activation(score, features):
    """Grad-CAM, Eq. 1 and 2 of Selvaraju et al.: a channel's weight is the mean of its gradient over the positions.

    Args:
        score: from features to (batch, ...), whose sum over an image is the score that is explained.
        features: (batch, rows, columns, channels).

    Returns:
        (batch, rows, columns), not negative.
    """
    gradients = ops.convert_to_numpy(layers.gradient(score, features))
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * features).sum(axis=-1), 0.0)


def _unit(embeddings):
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)


def _shares(maps):
    """Maps (n, ...) divided by their sums, in float32; a map of zeros becomes uniform."""
    flat = np.asarray(maps, "float64").reshape(len(maps), -1)
    totals = flat.sum(axis=1, keepdims=True)
    broken = np.flatnonzero(~np.isfinite(totals))
    if broken.size:
        raise ValueError(f"the map of image {broken[0]} is not finite: did the run diverge?")
    flat, totals = np.where(totals > 0, flat, 1.0), np.where(totals > 0, totals, flat.shape[1])
    return (flat / totals).astype("float32").reshape(np.shape(maps))


def _checked_images(model, images, name):
    images, expected = np.asarray(images), tuple(model.input_shape[1:])
    if images.dtype != np.uint8 or images.shape[1:] != expected or not len(images):
        size = ", ".join(map(str, expected))
        raise ValueError(f"{name} are {images.dtype} {images.shape}; {model.name!r} takes uint8 (n, {size}), n from 1")
    return images


def _checked_others(model, others, count):
    if others is None:
        raise ValueError("kind='gradcam_match' needs others: for each image, the one that it is compared with")
    others = _checked_images(model, others, "others")
    if len(others) != count:
        raise ValueError(f"others has {len(others)} images for {count} images: each one needs its own")
    return others


def _checked_labels(label, count, classes):
    labels = np.asarray(label)
    if labels.shape not in ((), (count,)) or labels.dtype.kind not in "iu":
        raise ValueError(f"label is {labels.dtype} {labels.shape}; expected an integer, or integers ({count},)")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"label={wrong}: the classifier's classes are 0 to {classes - 1}")
    return np.broadcast_to(labels, count)


def _checked_position(position, shape):
    """The number of a (row, column), counted row by row."""
    if position is None:
        raise ValueError("kind='rollout' needs position=(row, column), the cell that attends")
    place = np.asarray(position)
    if place.shape != (2,) or place.dtype.kind not in "iu" or (place < 0).any() or (place >= shape).any():
        raise ValueError(
            f"position={position!r}: expected (row, column) in the grid, rows 0 to {shape[0] - 1}, "
            f"columns 0 to {shape[1] - 1}"
        )
    return int(place[0]) * shape[1] + int(place[1])


_MAPS = {
    "received": _received,
    "rollout": _rollout,
    "energy": _energy,
    "gradcam": _gradcam,
    "gradcam_match": _gradcam_match,
}

KINDS = {
    "received": "The attention that a position receives from all positions.",
    "rollout": "Where the chosen position attends, with the residual connection as half of it.",
    "energy": "The mean square of the features after attention.",
    "gradcam": "Grad-CAM: what speaks for the identity that the classifier is asked about.",
    "gradcam_match": "Grad-CAM of the match: what makes the two images similar.",
}

AT_ANY_LAYER = ("energy", "gradcam", "gradcam_match")
"""The kinds that the features of any layer have; the others are of the attention itself."""
