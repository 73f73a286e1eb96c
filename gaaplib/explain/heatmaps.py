"""Heat maps of a trained model: its attention and, for comparison, Grad-CAM.

A map is float32 (height, width) on the grid of the attention's feature map. It is not negative and sums to one, so that
maps of all kinds can be compared. A map without information about position (Grad-CAM without a positive value, or
features that are all zero) is uniform.
"""

import re
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import ops
from PIL import Image

from gaaplib.attention import NoAttention, UniformAttention
from gaaplib.datasets import inputs
from gaaplib.network import layers

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
PARTS = ("backbone", "attention", "head")
# Embeddings with at least this cosine are equal except for rounding, so their similarity has no usable gradient.
SAME = 1.0 - 1e-6


def heatmap(model, images, kind="received", *, position=None, label=None, others=None, layer=None, batch_size=64):
    """Heat maps of some images, (n, rows, columns).

    Args:
        model: the model of a run (:meth:`gaaplib.runs.Run.model`), from images to outputs, with an attention layer.
        images: uint8 (n, height, width, 3), of the model's input size; for a model that sees more than images,
            :class:`gaaplib.datasets.inputs.Inputs`.
        kind: a key of ``KINDS``:

            - ``"received"``: the attention that a position receives, the column mean of Eq. 4's softmax matrix. With
              average pooling and no bias it is the weight of the position's feature in what the block adds to the
              embedding (Eq. 4-6).
            - ``"rollout"``: where ``position`` attends: its row of 0.5 A + 0.5 I. This is attention rollout (Abnar and
              Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020) of a single block, whose residual
              connection (Eq. 5) is the identity I.
            - ``"energy"``: the mean square of the block's output (Eq. 5) over the channels.
            - ``"gradcam"``: Grad-CAM (Selvaraju et al., ICCV 2017) of the logit of ``label`` on the block's output.
              The classifier of ``triplet`` is a probe whose gradient does not train the network, so its Grad-CAM
              explains the probe only.
            - ``"gradcam_match"``: Grad-CAM of the cosine similarity to the embedding of ``others``, which is held
              fixed. The cosine ignores the length of the embedding, so the map shows the positions that are more
              similar to the other image than this image is as a whole. It is uniform if both embeddings are equal.

            The weights of ``nonlocal`` can be negative: their absolute values are used, and for the rollout each row is
            divided by its sum. Without attention every position keeps its own feature, so ``"received"`` is uniform.
        position: (row, column) in the grid; required by ``"rollout"``, ignored by the other kinds.
        label: class index from 0, one for all images or (n,). None: the most likely class of each image. Used by
            ``"gradcam"`` only.
        others: the image that each one is compared with, in the form of ``images``; required by ``"gradcam_match"``,
            ignored by the other kinds.
        layer: a stage of the backbone, one of :func:`stages`, whose features are used instead of those after
            attention; for a kind in ``AT_ANY_LAYER``.
        batch_size: images per batch.

    Returns:
        float32 (n, rows, columns), not negative, each map sums to one; see :func:`grid` and :func:`upsample`.

    Raises:
        ValueError: a model without attention, images of the wrong shape or dtype, an unknown kind, a position, label or
            layer that does not exist, or features that are not finite.
    """
    network = _opened(model, layer)
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; known: {', '.join(KINDS)}")
    if kind not in kinds(model):
        raise ValueError(f"kind={kind!r} needs class scores, which this model does not have; use gradcam_match")
    if layer is not None and kind not in AT_ANY_LAYER:
        raise ValueError(
            f"kind={kind!r} shows the attention, so layer={layer!r} must be None; with layer: {', '.join(AT_ANY_LAYER)}"
        )
    images = _checked_images(model, images, "images")
    choice = None
    if kind == "rollout":
        choice = np.full(len(images), _checked_position(position, grid(model)))
    elif kind == "gradcam" and label is not None:
        choice = _checked_labels(label, len(images), network.classes)
    elif kind == "gradcam_match":
        choice = _checked_others(model, others, len(images))
    parts = []
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        outputs = network.predict_on_batch(inputs.as_arrays(images[rows], network.lower))
        parts.append(_MAPS[kind](network, outputs, None if choice is None else choice[rows]))
    return _shares(np.concatenate(parts)).reshape(len(images), *grid(model, layer))


def around_attention(model, images, batch_size=64):
    """What enters a model's attention and what leaves it, as means over the positions.

    Args:
        model, images: as in :func:`heatmap`.
        batch_size: images per batch.

    Returns:
        float32 (n, channels) before and after, and (n,) the largest weight in a row of the attention, as a mean over
        the rows.

    Raises:
        ValueError: a model without attention, or images of the wrong shape or dtype.
    """
    network = _opened(model)
    images = _checked_images(model, images, "images")
    before, after, largest = [], [], []
    for start in range(0, len(images), batch_size):
        outputs = network.predict_on_batch(inputs.as_arrays(images[start : start + batch_size], network.lower))
        before.append(outputs["entered"])
        after.append(outputs["left"])
        largest.append(outputs["matrix"].max(axis=2).mean(axis=1))
    return tuple(map(np.concatenate, (before, after, largest)))


def grid(model, layer=None):
    """(rows, columns) of the feature map that enters the model's attention, or of a stage of its backbone."""
    return _opened(model, layer).shape


def kinds(model):
    """The keys of ``KINDS`` that a model has: not Grad-CAM of a class if it was trained without classes."""
    return tuple(kind for kind in KINDS if kind != "gradcam" or _opened(model).classes)


def why_flat(model, kind):
    """Why a map of the attention is the same for each image, in words; None if it is not, or is of another kind.

    Args:
        model: as in :func:`heatmap`.
        kind: a key of ``KINDS``.
    """
    if kind in AT_ANY_LAYER:
        return None
    attention = _opened(model).attention
    if isinstance(attention, NoAttention):
        return "this network has no attention block"
    return "this network's attention is uniform by definition" if isinstance(attention, UniformAttention) else None


def stages(model):
    """Names of the backbone's stages before the attention (:mod:`gaaplib.network.backbones`): stage1, stage2, ..."""
    return tuple(_stage_ends(_opened(model).lower))


def upsample(maps, height, width, interpolation="bilinear"):
    """The maps at the resolution of their images, resized by Pillow (centres are half a step from the edge).

    Args:
        maps: (n, rows, columns), not negative.
        height, width: pixels.
        interpolation: ``"nearest"`` shows the actual cells. ``"bilinear"`` and ``"bicubic"`` (a = -0.5, clipped at
            zero) look smoother, but add no information.

    Returns:
        float32 (n, height, width), not negative, each sums to one.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation={interpolation!r} is not known; known: {', '.join(INTERPOLATIONS)}")
    maps = np.asarray(maps, "float32")
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"maps have the shape {maps.shape}; expected (n, rows, columns), each at least 1")
    method = INTERPOLATIONS[interpolation]
    resized = [np.asarray(Image.fromarray(one).resize((width, height), method)) for one in maps]
    return _shares(np.maximum(resized, 0.0))


class _Network(keras.Model):
    """A run's model, split at its attention. It shares the layers of the run's model."""

    def __init__(self, model):
        super().__init__(name=f"{model.name}_opened")
        by_name = {layer.name: layer for layer in model.layers}
        missing = [name for name in PARTS if name not in by_name]
        if missing:
            raise ValueError(
                f"the model {model.name!r} has no attention: it lacks {', '.join(missing)}; "
                "use the model of a run whose method has heat maps, such as 'gaap'; if this one has, an older version "
                "of gaaplib saved it: remove the run's folder and make it again"
            )
        self.lower, self.attention, self._head = (by_name[name] for name in PARTS)
        logits = self._head.output.get("logits")
        self.classes = None if logits is None else logits.shape[-1]
        # Of a backbone with several outputs, the first is the map. The others are kept as they are.
        self.map = _as_list(self.lower.output)[0]
        self.shape = tuple(self.map.shape[1:3])

    def call(self, images):
        """(batch, height, width, 3) -> matrix (batch, N, N), features (batch, rows, columns, channels), outputs.

        ``entered`` and ``left`` (batch, channels) are the means over the positions before the attention and after it.
        """
        maps, *beside = _as_list(self.lower(images, training=False))
        matrix = self.attention.attention_map(maps)
        features = ops.cast(self.attention(maps, training=False), "float32")
        found = {"matrix": ops.cast(matrix, "float32"), "features": features, "beside": beside}
        means = {"entered": ops.cast(maps, "float32"), "left": features}
        found |= {name: ops.mean(values, axis=(1, 2)) for name, values in means.items()}
        return found | self.head(features, beside)

    def head(self, features, beside):
        """The layers after attention: (batch, rows, columns, channels) -> float32 embedding, and logits if any."""
        # From outside, "beside" are arrays, which Keras does not take together with tensors.
        features = [features, *map(ops.convert_to_tensor, beside)] if beside else features
        outputs = self._head(features, training=False)
        return {name: ops.cast(outputs[name], "float32") for name in ("embedding", "logits") if name in outputs}


class _Stage(_Network):
    """A run's model, split in its backbone after one of the stages."""

    def __init__(self, model, stage):
        super().__init__(model)
        ends = _stage_ends(self.lower)
        if stage not in ends:
            raise ValueError(f"layer={stage!r} is not a stage before the attention; known: {', '.join(ends)}")
        features = ends[stage].output
        self.before = keras.Model(self.lower.input, features)
        # Keras cannot build a model from a tensor to itself.
        is_last = stage == list(ends)[-1]
        self.between = keras.layers.Identity() if is_last else keras.Model(features, self.map)
        self.shape = tuple(features.shape[1:3])

    def call(self, images):
        """(batch, height, width, 3) -> features (batch, rows, columns, channels) of the stage, and head outputs."""
        features = ops.cast(self.before(images, training=False), "float32")
        _, *beside = _as_list(self.lower(images, training=False))
        return {"features": features, "beside": beside, **self.head(features, beside)}

    def head(self, features, beside):
        """The layers after the stage; see :meth:`_Network.head`."""
        attended = self.attention(self.between(features, training=False), training=False)
        return super().head(ops.cast(attended, "float32"), beside)


def _as_list(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def _stage_ends(backbone):
    """``{name of the stage: its last layer}``. A ResNet's conv1 is its stem, so its conv2 is stage 1."""
    ends = {}
    for layer in backbone.layers:
        match = re.match(r"(conv|block)(\d+)_(?!conv$|bn$|pad$|relu$)", layer.name)
        if match:
            ends[f"stage{int(match[2]) - (match[1] == 'conv')}"] = layer
    return ends


_networks = WeakKeyDictionary()


def _opened(model, layer=None):
    """The split model. It is cached so that it is traced once, and it is freed together with the model."""
    if not isinstance(model, keras.Model):
        raise ValueError("a model from elsewhere has no heat maps: they need the layers of a network of this package")
    opened = _networks.setdefault(model, {})
    if layer not in opened:
        opened[layer] = _Network(model) if layer is None else _Stage(model, layer)
    return opened[layer]


# The maps before normalisation: outputs of a _Network and a choice per image -> (batch, ...).


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
        return ops.multiply(network.head(features, outputs["beside"])["logits"], chosen)

    return _class_activation(score, outputs["features"])


def _gradcam_match(network, outputs, others):
    targets = _unit(network.predict_on_batch(inputs.as_arrays(others, network.lower))["embedding"])
    cosines = (_unit(outputs["embedding"]) * targets).sum(axis=1)

    def score(features):
        embeddings = network.head(features, outputs["beside"])["embedding"]
        return ops.multiply(ops.normalize(embeddings, axis=1), targets)

    maps = _class_activation(score, outputs["features"])
    return np.where(cosines[:, None, None] < SAME, maps, 0.0)


def _class_activation(score, features):
    """Grad-CAM, Eq. 1 and 2 of Selvaraju et al.: the weight of a channel is the mean of its gradient over positions.

    Args:
        score: function from features to (batch, ...); the sum over an image is the score to explain.
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
    """Maps (n, ...) divided by their sums, in float32. A map of zeros becomes uniform."""
    flat = np.asarray(maps, "float64").reshape(len(maps), -1)
    totals = flat.sum(axis=1, keepdims=True)
    broken = np.flatnonzero(~np.isfinite(totals))
    if broken.size:
        raise ValueError(f"the map of image {broken[0]} is not finite: did the run diverge?")
    flat, totals = np.where(totals > 0, flat, 1.0), np.where(totals > 0, totals, flat.shape[1])
    return (flat / totals).astype("float32").reshape(np.shape(maps))


def _checked_images(model, images, name):
    wanted = model.input
    inputs.check(model, images)
    found = np.asarray(inputs.pixels(images))
    expected = tuple((wanted["images"] if isinstance(wanted, dict) else wanted).shape[1:])
    if found.dtype != np.uint8 or found.shape[1:] != expected or not len(found):
        size = ", ".join(map(str, expected))
        raise ValueError(f"{name} are {found.dtype} {found.shape}; {model.name!r} takes uint8 (n, {size}), n >= 1")
    return inputs.with_pixels(images, found)


def _checked_others(model, others, count):
    if others is None:
        raise ValueError("kind='gradcam_match' needs others: for each image, the image to compare it with")
    others = _checked_images(model, others, "others")
    if len(others) != count:
        raise ValueError(f"others has {len(others)} images for {count} images: give one for each image")
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
    """The index of a (row, column), counted row by row."""
    if position is None:
        raise ValueError("kind='rollout' needs position=(row, column), the cell that attends")
    index = np.asarray(position)
    if index.shape != (2,) or index.dtype.kind not in "iu" or (index < 0).any() or (index >= shape).any():
        raise ValueError(
            f"position={position!r}: expected (row, column) in the grid, rows 0 to {shape[0] - 1}, "
            f"columns 0 to {shape[1] - 1}"
        )
    return int(index[0]) * shape[1] + int(index[1])


_MAPS = {
    "received": _received,
    "rollout": _rollout,
    "energy": _energy,
    "gradcam": _gradcam,
    "gradcam_match": _gradcam_match,
}

KINDS = {
    "received": "The attention that a position receives from all positions.",
    "rollout": "Where the chosen position attends; half of the map is the residual connection.",
    "energy": "The mean square of the features that are pooled.",
    "gradcam": "Grad-CAM: what supports the chosen identity of the classifier.",
    "gradcam_match": "Grad-CAM of the match: what makes the two images similar.",
}

AT_ANY_LAYER = ("energy", "gradcam", "gradcam_match")
"""The kinds that can be computed at any layer; the others are maps of the attention itself."""
