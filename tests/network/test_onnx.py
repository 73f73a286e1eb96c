"""Exported networks give the network's own embeddings, or are not written."""

import sys

import keras
import numpy as np
import onnx as format
import pytest

from gaaplib.attention import ATTENTION
from gaaplib.network import external, layers, onnx
from gaaplib.pooling import POOLING

needs_tensorflow = pytest.mark.skipif(not layers.on_tensorflow(), reason="only TensorFlow's networks are exported")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 64, 32, 3), dtype=np.uint8)


def network(precision="float32"):
    """A small network with this package's layers: an export takes some forty times the memory of the weights."""
    keras.config.set_dtype_policy(precision)
    try:
        images = keras.Input((64, 32, 3), dtype="uint8")
        x = keras.layers.Rescaling(1 / 255)(images)
        x = layers.BatchNormalization()(layers.Conv2D(16, 3, strides=8, padding="same")(x))
        pooled = POOLING["gem"]()(ATTENTION["class"](key_dim=4, value_dim=8)(x))
        return keras.Model(images, {"embedding": keras.ops.cast(pooled, "float32")})
    finally:
        keras.config.set_dtype_policy("float32")


@needs_tensorflow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_an_exported_network_gives_the_same_embeddings_and_says_what_it_takes(tmp_path, precision):
    model, path = network(precision), tmp_path / "m.onnx"
    lowest = onnx.export(model, path, IMAGES, run="somebody's")
    assert onnx.LEAST_COSINE <= lowest <= 1 + 1e-9
    loaded = external.load(path)
    assert str(loaded.input) == "uint8 (batch, height, width, 3), 64 x 32, RGB, 0 to 255"
    expected = onnx.in_float32(model).predict_on_batch(IMAGES)["embedding"]
    np.testing.assert_allclose(loaded.predict_on_batch(IMAGES)["embedding"], expected, rtol=1e-3, atol=1e-4)
    said = {entry.key: entry.value for entry in format.load(path).metadata_props}
    assert said["input"].startswith("uint8 (batch, 64, 32, 3), RGB") and "(batch, 16)" in said["embedding"]
    assert said["run"] == "somebody's"
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


@needs_tensorflow
def test_a_network_that_sees_more_than_images_is_exported_with_all_of_its_inputs(tmp_path):
    images = keras.Input((64, 32, 3), dtype="uint8", name="images")
    points = keras.Input((17, 3), dtype="float32", name="keypoints")
    pooled = keras.ops.mean(keras.layers.Rescaling(1 / 255)(images), axis=(1, 2))
    outputs = {"embedding": keras.ops.concatenate([pooled, points[:, 0]], axis=1)}
    model, path = keras.Model({"images": images, "keypoints": points}, outputs), tmp_path / "m.onnx"
    given = {"images": IMAGES, "keypoints": np.random.default_rng(0).random((5, 17, 3)).astype("float32")}
    assert onnx.export(model, path, given) > onnx.LEAST_COSINE
    said = {entry.key: entry.value for entry in format.load(path).metadata_props}
    assert said["keypoints"] == "float32 ('batch', 17, 3)" and said["input"].startswith("uint8 (batch, 64, 32, 3)")
    with pytest.raises(ValueError, match="has 2 inputs .images, keypoints."):
        external.load(path)


@needs_tensorflow
def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "agreement", lambda *_: 0.9)
    with pytest.raises(RuntimeError, match=r"differ from its own .cosine 0.900000, .*nothing was written"):
        onnx.export(network(), tmp_path / "m.onnx", IMAGES)
    assert not list(tmp_path.iterdir())


def test_the_lowest_cosine_is_that_of_the_worst_image():
    class Fixed:
        def __init__(self, *rows):
            self.rows = np.array(rows, "float32")

        def predict_on_batch(self, images):
            return {"embedding": self.rows}

    assert onnx.agreement(Fixed([1, 0], [0, 2]), Fixed([3, 0], [0, 1]), None) == pytest.approx(1)
    assert onnx.agreement(Fixed([1, 0], [0, 2]), Fixed([3, 0], [1, 1]), None) == pytest.approx(0.5**0.5)


def test_a_network_in_mixed_precision_keeps_its_weights_in_float32():
    model = network("mixed_bfloat16")
    single = onnx.in_float32(model)
    assert {layer.compute_dtype for layer in single._flatten_layers()} <= {"float32", "uint8", "int32"}
    for one, other in zip(model.get_weights(), single.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_the_libraries_or_tensorflow_the_error_says_what_to_do(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(layers, "on_tensorflow", lambda: False)
        with pytest.raises(RuntimeError, match="set KERAS_BACKEND=tensorflow"):
            onnx.export(network(), tmp_path / "m.onnx", IMAGES)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'gaaplib\[onnx\]'"):
        onnx.export(network(), tmp_path / "m.onnx", IMAGES)
