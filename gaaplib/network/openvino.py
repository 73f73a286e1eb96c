"""Embeddings by OpenVINO, which runs a trained network faster on processors than the frameworks that train it.

It comes with ``pip install "gaaplib[openvino]"``. Keras writes the network in OpenVINO's form; nothing is learnt there.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

from gaaplib.network import layers

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class Compiled:
    """A network compiled for this processor, to be given to :func:`gaaplib.training.fit.embed` in a model's place.

    Args:
        compiled: an ``openvino.CompiledModel`` with one input.
    """

    def __init__(self, compiled):
        self.compiled = compiled
        self.names = [sorted(output.get_names()) for output in compiled.outputs]

    def predict_on_batch(self, images):
        """All outputs for images (batch, height, width, 3): ``{name: float32 (batch, ...)}``, as the Keras model's."""
        answers = self.compiled(np.ascontiguousarray(images))
        # Copied, as the next batch is written to the same memory. Outputs that are one, as without a neck, share names.
        return {name: np.array(answers[i]) for i, names in enumerate(self.names) for name in names}


def convert(model, precision="float32"):
    """Compile a model for inference on this processor.

    In float32 it answers what the Keras model does, but for the last digits. bfloat16 is faster where the processor
    computes in it, and rounds: ``python benchmarks/training.py --work embedding`` prints the speed of both.

    Args:
        model: a Keras model of float32 from images to a dict of outputs, such as :meth:`gaaplib.runs.Run.model`.
        precision: ``"float32"`` or ``"bfloat16"``.

    Returns:
        A :class:`Compiled`.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: an unknown precision, or a model of mixed precision, whose roundings would be added to.
        RuntimeError: another backend than TensorFlow. OpenVINO reads no operations of JAX (XlaCallModule), and Keras
            writes no network with a dict of outputs from PyTorch.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is not known; known: {', '.join(PRECISIONS)}")
    rounding = sorted({layer.compute_dtype for layer in model._flatten_layers()} & {"bfloat16", "float16"})
    if rounding:
        raise ValueError(f"the model computes in {rounding[0]}: convert one of float32, and choose `precision` here")
    if not layers.on_tensorflow():
        raise RuntimeError(
            f"OpenVINO cannot read this network as the backend {keras.backend.backend()} writes it: save the model, "
            "set KERAS_BACKEND=tensorflow, and load it there (a model saved under one backend loads in another)"
        )
    try:
        import openvino
    except ImportError as error:
        raise ImportError("OpenVINO is not installed: pip install 'gaaplib[openvino]'") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        model.export(str(path), format="openvino", verbose=False)
        settings = {"INFERENCE_PRECISION_HINT": PRECISIONS[precision], "PERFORMANCE_HINT": "LATENCY"}
        return Compiled(openvino.Core().compile_model(path, "CPU", settings))
