"""A trained network as an ONNX file, which runs without Keras and without this package.

Install what writes and checks it with ``pip install "gaaplib[onnx]"``.
"""

import os
from pathlib import Path

import keras
import numpy as np

from gaaplib.network import external, layers
from gaaplib.project import written_whole

LEAST_COSINE = 0.9999
"""An export is done if the embeddings of all checked images have at least this cosine with the network's own."""


def export(model, path, images, **metadata):
    """Write a network to an ONNX file, and compare its embeddings with the network's own in float32.

    The file takes images uint8 (batch, height, width, 3), RGB, of any number, and what the network sees beside them.
    It returns what the network does. Only a file that takes images alone can be used as a model from elsewhere.

    Args:
        model: a model from images to a dict of outputs, such as :meth:`gaaplib.runs.Run.model`; one in mixed precision
            is exported in float32.
        path: the ``.onnx`` file to write.
        images: uint8 (n, height, width, 3), by which the file is checked; of a network that sees more, a dict.
        metadata: text that is written into the file, beside what goes in and comes out.

    Returns:
        The lowest cosine between the two embeddings of an image.

    Raises:
        ImportError: what writes such files is not installed.
        RuntimeError: a backend other than TensorFlow, or embeddings that differ; nothing is written then.
    """
    try:
        import onnx
        import tf2onnx  # noqa: F401  Keras calls it.
    except ImportError as error:
        raise ImportError("exporting needs onnx, onnxruntime and tf2onnx: pip install 'gaaplib[onnx]'") from error
    if not layers.on_tensorflow():
        raise RuntimeError(f"the backend {keras.backend.backend()} cannot export: set KERAS_BACKEND=tensorflow")
    single = in_float32(model)
    # Keras exports only what has been called.
    single(keras.tree.map_structure(lambda array: array[:1], images))
    with written_whole(Path(path)) as part:
        part = Path(part)
        written = part.with_name(f"{part.name}.onnx")
        try:
            single.export(written, format="onnx", verbose=False)
            file = onnx.load(written)
            _describe(file, single, metadata)
            onnx.save(file, written)
            loaded = external.Exported(written) if isinstance(images, dict) else external.load(written)
            lowest = agreement(single, loaded, images)
            if not lowest >= LEAST_COSINE:
                raise RuntimeError(
                    f"the exported network's embeddings differ from its own (cosine {lowest:.6f}, at least "
                    f"{LEAST_COSINE} is needed): nothing was written"
                )
            os.replace(written, part)
        finally:
            written.unlink(missing_ok=True)
    return lowest


def agreement(model, other, images):
    """The lowest cosine between the embeddings of an image by two models, both from images to ``"embedding"``."""
    one, two = (np.asarray(each.predict_on_batch(images)["embedding"], "float64") for each in (model, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return float(((one * two).sum(axis=1) / lengths).min())


def in_float32(model):
    """The same network with the same weights, computing in float32."""
    copy = keras.saving.deserialize_keras_object(_single(keras.saving.serialize_keras_object(model)), safe_mode=True)
    copy.set_weights(model.get_weights())
    return copy


def _single(value):
    """A serialised network with every precision replaced by float32."""
    if isinstance(value, dict):
        return {key: _single(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_single(item) for item in value)
    return "float32" if value in ("mixed_bfloat16", "mixed_float16") else value


def _describe(file, model, metadata):
    """Write into the file what goes in and what comes out."""
    beside = model.input if isinstance(model.input, dict) else {"images": model.input}
    _, height, width, _ = beside["images"].shape
    words = {
        "input": f"uint8 (batch, {height}, {width}, 3), RGB, 0 to 255; normalised by the file itself",
        "embedding": f"float32 (batch, {model.output['embedding'].shape[-1]})",
        **{name: f"float32 {('batch', *part.shape[1:])}" for name, part in beside.items() if name != "images"},
        **metadata,
    }
    for key, text in words.items():
        entry = file.metadata_props.add()
        entry.key, entry.value = key, str(text)
