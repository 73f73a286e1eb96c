"""Inference with OpenVINO, which computes embeddings on a CPU faster than the Keras backends.

Install it with ``pip install "gaaplib[openvino]"``. Keras exports the trained network to OpenVINO's format.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

from gaaplib.network import layers

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class Compiled:
    """A network compiled for this processor; :func:`gaaplib.training.fit.embed` accepts it instead of a Keras model.

    Args:
        compiled: an ``openvino.CompiledModel`` with one input.
        known: names of the outputs; an output may have further names, of the graph's operations.
    """

    def __init__(self, compiled, known):
        self.compiled = compiled
        self.names = [sorted(output.get_names() & set(known)) for output in compiled.outputs]

    def predict_on_batch(self, images):
        """All outputs for images (batch, height, width, 3): ``{name: float32 (batch, ...)}``, as the Keras model's."""
        outputs = self.compiled(np.ascontiguousarray(images))
        # Copied, because the next batch overwrites this memory. Identical outputs are one output with several names.
        return {name: np.array(outputs[i]) for i, names in enumerate(self.names) for name in names}


def convert(model, precision="float32"):
    """Compile a model for inference on this processor.

    In float32 its outputs equal those of the Keras model except for the last digits. bfloat16 is faster on processors
    that support it, and less exact. ``python benchmarks/training.py --work embedding`` prints the speed of both.

    Args:
        model: a Keras model in float32 from images to a dict of outputs, such as :meth:`gaaplib.runs.Run.model`.
        precision: ``"float32"`` or ``"bfloat16"``.

    Returns:
        A :class:`Compiled`.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: an unknown precision, or a model in mixed precision, which would be rounded twice.
        RuntimeError: a backend other than TensorFlow. OpenVINO cannot read JAX's operations (XlaCallModule), and from
            PyTorch Keras cannot export a network with a dict of outputs.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is not known; known: {', '.join(PRECISIONS)}")
    rounding = sorted({layer.compute_dtype for layer in model._flatten_layers()} & {"bfloat16", "float16"})
    if rounding:
        raise ValueError(f"the model computes in {rounding[0]}: convert a float32 model, and choose `precision` here")
    if not layers.on_tensorflow():
        raise RuntimeError(
            f"OpenVINO cannot read a network exported by the backend {keras.backend.backend()}: save the model, "
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
        return Compiled(openvino.Core().compile_model(path, "CPU", settings), model.output)
