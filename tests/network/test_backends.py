"""A model saved under one Keras backend loads under another, with the same outputs and the same training."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.training import fit

HERE = keras.backend.backend()
OTHERS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(name) is None, reason=f"{name} is not installed: make test-backends"
        ),
    )
    for name in ("tensorflow", "jax", "torch")
    if name != HERE
]
PRECISIONS = ("float32", "mixed_bfloat16")
LABELS = np.repeat(np.arange(4), 4)


def images():
    return np.random.default_rng(0).integers(0, 256, (len(LABELS), 64, 32, 3), dtype=np.uint8)


def make(precision):
    """GAAP with weights that are the same in each backend, and none, as a moving mean of 0, that hides an error."""
    keras.config.set_dtype_policy(precision)
    try:
        method = METHODS["gaap"](RunConfig("smoke", batch_size=8, epochs=2, learning_rate=1e-4, attention="class"), 4)
    finally:
        keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(1)
    for weight in method.training_model.weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(0, (2 / np.prod(weight.shape[:-1])) ** 0.5, weight.shape))
        else:
            weight.assign(keras.ops.convert_to_numpy(weight) + rng.normal(0, 0.02, weight.shape))
    return method


def write(folder):
    """Results of this process's backend: models, their outputs, and the losses of training."""
    for precision in PRECISIONS:
        method = make(precision)
        method.model.save(folder / f"{precision}.keras")
        np.savez(folder / f"{precision}.npz", **fit.embed(method.model, images(), np.arange(16)))
    np.save(folder / "losses.npy", losses())


def losses():
    """The loss of each of two steps; the second has the gradients of the first in it."""
    method, rows = make("float32"), np.arange(16)
    batches = fit._training_batches(method, images(), rows, LABELS, 0)
    fit._compile(method, len(batches))
    return [method.training_model.train_on_batch(*batches[step], return_dict=True)["loss"] for step in range(2)]


def read(folder):
    """Outputs of the models in a folder, computed by this process's backend."""
    found = {}
    for precision in PRECISIONS:
        model = keras.saving.load_model(folder / f"{precision}.keras", compile=False, safe_mode=True)
        found[precision] = fit.embed(model, images(), np.arange(16))
    return found


def exchange(folder):
    """In the process of another backend: compute outputs of the existing models, and save models of its own."""
    for precision, answers in read(folder / "first").items():
        np.savez(folder / "second" / f"{precision}_of_first.npz", **answers)
    write(folder / "second")


def largest_error(answers, expected):
    """The largest difference over all outputs, as a share of the largest value."""
    assert set(answers) == set(expected) == {"pooled", "embedding", "logits"}
    return max(np.abs(answers[name] - expected[name]).max() / np.abs(expected[name]).max() for name in answers)


@pytest.mark.parametrize("other", OTHERS)
def test_models_go_to_another_backend_and_back(other, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    write(first)
    code = f"from pathlib import Path; from test_backends import exchange; exchange(Path({str(tmp_path)!r}))"
    environment = {
        **os.environ,
        "KERAS_BACKEND": other,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    for precision, answers in read(second).items():
        tolerance = 1e-4 if precision == "float32" else 3e-2
        assert largest_error(answers, np.load(second / f"{precision}.npz")) < tolerance
        there = np.load(second / f"{precision}_of_first.npz")
        assert largest_error(there, np.load(first / f"{precision}.npz")) < tolerance
    assert np.load(first / "losses.npy") == pytest.approx(np.load(second / "losses.npy"), rel=1e-3)
