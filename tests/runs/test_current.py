"""Whether a run has to be made again is known without Keras, for the graph's sake."""

import json
import subprocess
import sys

import pytest
from made_images import market_folder, real, smoke
from made_runs import write_run

from gaaplib import runs
from gaaplib.runs import current
from gaaplib.runs.provenance import RESULTS


def test_a_run_on_synthetic_images_is_current(tmp_path):
    assert current.out_of_date(write_run(tmp_path, [0.5, 0.5])) is None


def test_a_run_that_cannot_be_read_is_out_of_date(tmp_path):
    run = write_run(tmp_path, [0.5, 0.5])
    (run.folder / "metrics.json").write_text("{")
    assert current.out_of_date(run) == run.trouble()


def test_a_run_of_another_results_number_is_out_of_date(tmp_path):
    run = write_run(tmp_path, [0.5, 0.5])
    metrics = run.metrics
    metrics["provenance"]["results"] = RESULTS - 1
    (run.folder / "metrics.json").write_text(json.dumps(metrics))
    assert f"results number {RESULTS - 1}, today's is {RESULTS}" in current.out_of_date(run)


def noted(run, **data):
    metrics = run.metrics
    metrics["data"] |= data
    (run.folder / "metrics.json").write_text(json.dumps(metrics))
    return run


@pytest.fixture
def root(tmp_path):
    return market_folder(tmp_path / "photos")


def on(root, outputs, **changes):
    """A finished run on the photographs as they are now."""
    config = real(root, **changes)
    run = write_run(outputs, [0.5, 0.5], data=config.data, sampler="shuffled", batch_size=8, **changes)
    return noted(run, files=runs.files_now(config.dataset, config.data))


@pytest.mark.filterwarnings("ignore:.*differs from the published data set")
def test_other_images_or_weights_make_a_run_out_of_date(root, tmp_path):
    run = on(root, tmp_path)
    assert current.out_of_date(run) is None
    (root / "query/0004_c1s1_000000_00.jpg").unlink()
    assert "are not those that" in current.out_of_date(run)
    weights = tmp_path / "w.weights.h5"
    weights.write_bytes(b"old")
    started = write_run(tmp_path, [0.5, 0.5], weights=str(weights))
    noted(started, weights=current.weights_key(started.config))
    assert current.out_of_date(started) is None
    weights.write_bytes(b"new")
    assert "is not the file that" in current.out_of_date(started)


@pytest.mark.filterwarnings("ignore:.*differs from the published data set")
def test_a_run_whose_model_was_trained_on_other_images_is_out_of_date(root, tmp_path):
    source = on(root, tmp_path)
    sizes = {"sampler": "shuffled", "batch_size": 8, "training_images": "split"}
    config = smoke(dataset="raid", train_dataset="market1501", train_data=str(root), **sizes)
    assert config.training().run_id == source.folder.name
    run = write_run(
        tmp_path, [0.5, 0.5], dataset="raid", train_dataset="market1501", train_data=str(root), **sizes
    )  # fmt: skip
    (run.folder / "history.csv").write_text("epoch,loss\n1,2.0\n")
    noted(run, trained_on="f")
    assert current.out_of_date(run) is None
    noted(run, trained_on="another")
    assert "the model of" in current.out_of_date(run)
    (run.folder / "history.csv").write_text("epoch\n")  # Nothing was trained, as for the histogram.
    assert current.out_of_date(run) is None


def test_it_is_asked_without_keras():
    code = (
        "import sys; from gaaplib.runs import out_of_date; print('keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"
