"""Training that is killed and restarted gives the same result as an uninterrupted one."""

import itertools
import json
import multiprocessing
import os
import pkgutil
import random
import shutil
import signal
import time
import warnings

import numpy as np
import pytest

from gaaplib import experiment, runs
from gaaplib.config import RunConfig

EPOCHS = 3
KILLS = int(os.environ.get("GAAP_SOAK", 0))
CONFIG = RunConfig("smoke", epochs=EPOCHS, schedule="cosine", warmup_epochs=1, dropout=0.5, erase=0.5)
# TensorFlow is imported once, in a server that each process is forked from.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["gaaplib.experiment"])
MOMENTS = {
    "in an epoch": ("gaaplib.training.fit._Recorder", "on_train_batch_end"),
    "between epochs": ("gaaplib.training.fit._Recorder", "on_epoch_begin"),
    "in a checkpoint": ("zipfile.ZipFile", "writestr"),
}


def run_and_die(outputs, moment=None, count=None):
    """Run CONFIG; at the moment, a method's call of that number, die."""
    warnings.filterwarnings("error", message=".* (damaged|from the beginning)")
    if moment:
        owner, name = pkgutil.resolve_name(MOMENTS[moment][0]), MOMENTS[moment][1]
        method, calls = getattr(owner, name), itertools.count(1)

        def deadly(*arguments, **keywords):
            if next(calls) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments, **keywords)

        setattr(owner, name, deadly)
    experiment.run(CONFIG, outputs=outputs)


@pytest.fixture(autouse=True, scope="module")
def _two_threads():
    """Of each process, so that the order of sums is put to the test, too; `make test` has one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAAP_THREADS", "2")
        yield


def start(*arguments):
    process = CONTEXT.Process(target=run_and_die, args=arguments)
    process.start()
    return process


def exit_code(process, seconds=None):
    """The exit code, or None if the process still runs after so many seconds."""
    process.join(seconds)
    return process.exitcode


def checkpoint(outputs):
    return runs.Run(outputs / "runs" / CONFIG.run_id).checkpoint


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The process and the run without an interruption."""
    outputs = tmp_path_factory.mktemp("reference")
    return start(outputs), runs.Run(checkpoint(outputs).parents[1])


def assert_same(run, reference):
    process, reference = reference
    assert exit_code(process) == 0
    assert {path.name for path in run.folder.iterdir()} == {path.name for path in reference.folder.iterdir()}
    weights, expected = (each.model().get_weights() for each in (run, reference))
    assert all(np.array_equal(one, other) for one, other in zip(weights, expected, strict=True))
    history, whole = (each.history.drop(columns="seconds") for each in (run, reference))
    assert history.equals(whole)
    assert len(history) == EPOCHS
    assert run.history.seconds.is_monotonic_increasing
    for name in ("closed", "retrieval", "data", "partnered_share"):
        assert run.metrics[name] == reference.metrics[name]


def test_killed_three_times_it_ends_the_same(reference, tmp_path):
    # Each time in the first epoch that is still to do, or in the second; an epoch has four batches.
    for moment, count in (
        ("in a checkpoint", 2),
        ("in an epoch", random.Random(5).randint(1, 4)),
        ("between epochs", 2),
    ):
        assert exit_code(start(tmp_path, moment, count)) == -signal.SIGKILL, moment
        assert checkpoint(tmp_path).exists(), moment
    assert exit_code(start(tmp_path)) == 0
    assert_same(runs.Run(checkpoint(tmp_path).parents[1]), reference)
    assert json.loads((reference[1].folder / "metrics.json").read_text())["status"] == "done"


@pytest.mark.skipif(not KILLS, reason="takes minutes; make soak runs it")
def test_killed_at_any_time_it_ends_the_same(reference, tmp_path):
    assert exit_code(reference[0]) == 0
    draw, left = random.Random(KILLS), KILLS
    seconds = sum(reference[1].metrics["provenance"]["seconds"].values())
    while left:
        outputs = tmp_path / str(left)
        run, done = runs.Run(checkpoint(outputs).parents[1]), False
        while not done:
            child = start(outputs)
            while child.is_alive() and not (run.folder / "config.json").exists():
                time.sleep(0.05)
            if exit_code(child, draw.uniform(0, seconds) if left else None) is None:
                child.kill()
                left -= 1
            assert exit_code(child) in (0, -signal.SIGKILL)
            done = child.exitcode == 0
        assert_same(run, reference)
        shutil.rmtree(outputs)
