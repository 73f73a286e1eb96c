"""OpenVINO gives the same outputs as Keras; if OpenVINO is missing, the error says so."""

import sys

import numpy as np
import pytest

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.network import layers, openvino
from gaaplib.training import fit

needs_tensorflow = pytest.mark.skipif(not layers.on_tensorflow(), reason="OpenVINO reads what TensorFlow writes")


def model(precision="float32"):
    import keras

    keras.config.set_dtype_policy(precision)
    try:
        return METHODS["gaap"](RunConfig("smoke", pooling="gem", neck="bnneck"), 5).model
    finally:
        keras.config.set_dtype_policy("float32")


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 32, 3), dtype=np.uint8)


@needs_tensorflow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_answers_are_those_of_keras(precision, tolerance):
    pytest.importorskip("openvino")
    network, stored = model(), images(5)
    expected = fit.embed(network, stored, np.arange(5), batch_size=2)
    found = fit.embed(openvino.convert(network, precision), stored, np.arange(5), batch_size=2)
    assert set(found) == set(expected) == {"pooled", "embedding", "logits"}
    for name, values in expected.items():
        assert found[name].dtype == np.float32
        largest = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, atol=tolerance * largest, rtol=0)


@needs_tensorflow
def test_without_openvino_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"pip install 'gaaplib\[openvino\]'"):
        openvino.convert(model())


def test_what_cannot_be_converted_is_refused():
    with pytest.raises(ValueError, match="precision='float16' is not known; known: float32, bfloat16"):
        openvino.convert(model(), "float16")
    with pytest.raises(ValueError, match="the model computes in bfloat16"):
        openvino.convert(model("mixed_bfloat16"))


def test_another_backend_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(layers, "on_tensorflow", lambda: False)
    with pytest.raises(RuntimeError, match="save the model, set KERAS_BACKEND=tensorflow, and load it there"):
        openvino.convert(model())
