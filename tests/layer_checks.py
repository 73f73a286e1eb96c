"""The one check that every layer passes: shapes, configuration, saving, loading, gradients, half precision."""

import tempfile
from pathlib import Path

import keras
import numpy as np


def check_layer(make, inputs, *, rtol=1e-5, half=True):
    """Check a layer.

    Args:
        make: function without arguments that makes the layer.
        inputs: a positional array for each tensor that its call takes.
        half: whether it computes in half precision under a mixed policy; otherwise it stays in float32.
    """
    layer = make()
    outputs = keras.ops.convert_to_numpy(layer(*inputs))
    assert np.isfinite(outputs).all()
    assert layer.compute_output_shape(inputs[0].shape) == outputs.shape
    assert np.allclose(keras.ops.convert_to_numpy(layer(*inputs)), outputs, rtol=rtol)
    _check_config(layer, inputs, outputs, rtol)
    _check_saving(layer, inputs, outputs, rtol)
    _check_mixed(make, inputs, "bfloat16" if half else "float32")


def _check_config(layer, inputs, outputs, rtol):
    clone = type(layer).from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()
    clone(*inputs)
    clone.set_weights(layer.get_weights())
    assert np.allclose(keras.ops.convert_to_numpy(clone(*inputs)), outputs, rtol=rtol)


def _check_saving(layer, inputs, outputs, rtol):
    symbolic = [keras.Input(array.shape[1:], dtype=str(array.dtype)) for array in inputs]
    model = keras.Model(symbolic, layer(*symbolic))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.keras"
        model.save(path)
        loaded = keras.saving.load_model(path, safe_mode=True)
    assert np.allclose(keras.ops.convert_to_numpy(loaded(list(inputs))), outputs, rtol=rtol)


def _check_mixed(make, inputs, expected):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        outputs = make()(*inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(outputs.dtype) == expected
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))).all()


def randomise(model):
    """Random biases and moving statistics, which otherwise start at 0 and 1 and hide mistakes."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:
            low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.2, 0.2)
            weight.assign(rng.uniform(low, high, weight.shape).astype("float32"))


def gradient(function, array):
    """Gradient of a scalar function of an array, on whichever backend runs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensor = tf.convert_to_tensor(array)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor)
        return keras.ops.convert_to_numpy(tape.gradient(value, tensor))
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(array))
    import torch

    tensor = torch.tensor(array, requires_grad=True)
    function(tensor).backward()
    return tensor.grad.numpy()
