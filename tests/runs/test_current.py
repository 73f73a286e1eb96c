"""Whether a run has to be made again is known without Keras, for the graph's sake."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from made_images import market_folder, real, smoke
from made_runs import write_run
from PIL import Image

from gaaplib import runs
from gaaplib.datasets import keypoints, masks
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


def beside(root, confidence=1.0, value=255):
    """Key points and masks of all images of a folder."""
    paths = [str(file.relative_to(root)) for file in sorted(root.rglob("*.jpg"))]
    keypoints.write(root, paths, np.full((len(paths), 17, 3), confidence))
    for path in paths:
        file = masks.file_of(root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (24, 48), value).save(file)


def seen(root, outputs, **changes):
    """A finished run on photographs, and on what its method reads beside them, as they are now."""
    settings = {"data": str(root), "sampler": "shuffled", "batch_size": 8, **changes}
    data = runs.load_data(smoke(**settings), outputs=outputs)
    told = {"beside": data.beside_fingerprints, "beside_files": data.beside_files} if data.beside else {}
    run = write_run(outputs, [0.5, 0.5], **settings)
    return noted(run, fingerprint=data.store.fingerprint, files=data.store.files, **told)


SEES = {"keypoints": {"method": "pgfa"}, "masks": {"method": "fpr", "options": "masks=1"}}


@pytest.mark.filterwarnings("ignore:.*differs from the published data set")
@pytest.mark.parametrize("name", SEES)
def test_other_key_points_or_masks_make_a_run_out_of_date_that_reads_them(root, tmp_path, name):
    beside(root)
    run, other = seen(root, tmp_path, **SEES[name], height=96), seen(root, tmp_path)
    assert list(run.metrics["data"]["beside"]) == [name] and "beside" not in other.metrics["data"]
    for file in (root / "keypoints.npz", *(root / "masks").rglob("*.png")):
        os.utime(file, (1, 1))
    assert current.out_of_date(run) is None  # A copy of the folder: what is in the files counts.
    beside(root, confidence=0.5, value=0)
    assert f"the images or {name} in {root} are not those that" in current.out_of_date(run)
    assert current.out_of_date(other) is None


@pytest.mark.filterwarnings("ignore:.*differs from the published data set")
def test_a_run_is_not_looked_at_with_other_key_points(root, tmp_path):
    beside(root)
    run = seen(root, tmp_path, method="pgfa", height=96)
    data = runs.load_data(run.config, outputs=tmp_path)
    queries = data.part("query")
    np.savez(run.folder / "per_query.npz", **{name: queries[name] for name in ("pid", "camid", "row")},
             **dict.fromkeys(("ap", "inp", "first_hit", "valid"), np.ones(len(queries))))  # fmt: skip
    runs.check_images(run, data)
    beside(root, confidence=0.5)
    with pytest.raises(ValueError, match="was made with other keypoints than .*photos now holds: repeat the run"):
        runs.check_images(run, runs.load_data(run.config, outputs=tmp_path))
    # A run of another method has nothing to compare.
    runs.check_images(noted(run, beside={}), runs.load_data(run.config, outputs=tmp_path))


@pytest.mark.filterwarnings("ignore:.*differs from the published data set")
def test_a_model_that_learnt_from_other_key_points_makes_its_scores_out_of_date(root, tmp_path):
    beside(root)
    settings = {"method": "pgfa", "height": 96, "training_images": "all"}
    source = seen(root, tmp_path, **settings)
    crossed = {"train_dataset": "market1501", "train_data": str(root), "sampler": "shuffled", "batch_size": 8}
    run = write_run(tmp_path, [0.5, 0.5], variant="occluded", **settings, **crossed)
    (run.folder / "history.csv").write_text("epoch,loss\n1,2.0\n")
    assert run.config.training().run_id == source.folder.name
    noted(run, trained_on=current.learnt_from(source))
    assert current.out_of_date(run) is None
    beside(root, confidence=0.5)
    seen(root, tmp_path, **settings)  # Trained again.
    assert "that the model of" in current.out_of_date(run)


def test_it_is_asked_without_keras():
    code = (
        "import sys; from gaaplib.runs import out_of_date; print('keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"
