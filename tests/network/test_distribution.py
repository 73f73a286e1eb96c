"""A batch distributed over two devices gives the same results as on one; both are devices of the host."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from gaaplib import experiment, runs
from gaaplib.attention import CrossFeatureAttention
from gaaplib.config import RunConfig
from gaaplib.network import devices
from gaaplib.network.layers import BatchNormalization
from gaaplib.pooling import AveragePooling

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras lets devices share a batch under JAX alone: make test-backends"
)
# Shuffled batches, so that partners and groups are in both halves.
# The rate is low: Adam multiplies what rounding makes different.
CONFIG = RunConfig("smoke", epochs=2, learning_rate=1e-4, sampler="shuffled", batch_size=16, pool_over="class")
# Each image's partner, and the other image of its group, is in the other half.
PARTNERS = np.roll(np.arange(8, dtype="int32"), 4)
GROUPS = np.arange(8, dtype="int32") % 4


def answers():
    """Outputs in training of layers that use the whole batch, and the moving statistics afterwards."""
    keras.utils.set_random_seed(0)
    inputs = devices.shared(np.random.default_rng(0).normal(size=(8, 2, 3, 16)).astype("float32"))
    block, normalization = CrossFeatureAttention(), BatchNormalization()
    found = {
        "attention": block(inputs, partners=devices.shared(PARTNERS)),
        "pooling": AveragePooling("class")(inputs, groups=devices.shared(GROUPS), training=True),
        "normalization": normalization(inputs, training=True),
        "alone": block(inputs),
    }
    assert len(inputs.devices()) == devices.in_use() if devices.in_use() > 1 else isinstance(inputs, np.ndarray)
    moving = {f"moving{n}": weight for n, weight in enumerate(normalization.get_weights())}
    return {name: keras.ops.convert_to_numpy(value) for name, value in {**found, **moving}.items()}


def with_one_and_two(folder):
    """In a process whose host has two devices: everything with the first alone, then with both."""
    both = devices.available()
    assert both == ["cpu:0", "cpu:1"]
    for count in (1, 2):
        devices.available = lambda count=count: both[:count]
        experiment.run(CONFIG, outputs=Path(folder) / str(count))
        np.savez(Path(folder) / f"{count}.npz", **answers())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distribution")
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    code = f"from test_distribution import with_one_and_two; with_one_and_two({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def one_and_two(folder):
    return [runs.finished(folder / str(count))[0] for count in (1, 2)]


def test_the_run_says_how_many_devices_it_used(one_and_two):
    assert [run.metrics["provenance"]["devices_used"] for run in one_and_two] == [1, 2]


def test_the_loss_curve_is_that_of_one_device(one_and_two):
    one, two = (run.history for run in one_and_two)
    assert len(one) == 2
    # Some partners must be in the other half of their batch, otherwise the comparison would not test them.
    assert 0 < one.partnered_share.iloc[0] < 1
    for name in ("loss", "val_loss"):
        assert two[name].to_numpy() == pytest.approx(one[name].to_numpy(), rel=1e-3), name
    # The last validation batch cannot be halved.
    assert one_and_two[0].metrics["counts"]["val"]["images"] % 2


def test_the_weights_and_the_scores_are_those_of_one_device(one_and_two):
    one, two = (run.model().get_weights() for run in one_and_two)
    for got, expected in zip(two, one, strict=True):
        assert np.abs(got - expected).max() < 1e-2 * max(1, np.abs(expected).max())
    one, two = (run.metrics["retrieval"]["mAP"] for run in one_and_two)
    assert two == pytest.approx(one, abs=0.02)


def test_partners_groups_and_statistics_are_of_the_whole_batch(folder):
    one, two = (np.load(folder / f"{count}.npz") for count in (1, 2))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert not np.allclose(one["attention"], one["alone"], atol=1e-3)
