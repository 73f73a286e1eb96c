import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from made_runs import finish, write_model, write_run

from gaaplib import runs
from gaaplib.config import RunConfig


def test_metrics_come_last_and_mark_the_end(tmp_path):
    run = runs.begin(RunConfig("smoke"), tmp_path)
    assert not run.is_done()
    finish(run)
    assert run.is_done()
    assert not list(run.folder.glob("*.part"))
    metrics = run.metrics
    assert metrics["schema"] == runs.SCHEMA
    assert metrics["config"] == run.config.to_dict()
    assert metrics["run_id"] == run.folder.name
    assert metrics["partnered_share"] is None
    assert metrics["data"]["synthetic"] is True
    origin = metrics["provenance"]
    assert {"commit", "dirty", "versions", "processor", "seconds", "finished"} <= set(origin)
    assert "keras" in origin["versions"]


def test_beginning_again_takes_the_mark_away(tmp_path):
    run = write_run(tmp_path, [0.5])
    for name in ("model.keras", "maps.csv"):
        (run.folder / name).write_bytes(b"old")
    runs.begin(run.config, tmp_path)
    assert sorted(path.name for path in run.folder.iterdir()) == ["README.md", "config.json"]


def test_numbers_that_are_missing_are_null_in_strict_json(tmp_path):
    run = runs.begin(RunConfig("smoke"), tmp_path)
    finish(run, retrieval={"mAP": np.nan, "cmc1": np.float32(0.5), "num_queries": np.int64(3)})
    text = (run.folder / "metrics.json").read_text()
    assert "NaN" not in text
    retrieval = json.loads(text)["retrieval"]
    assert retrieval == {"mAP": None, "cmc1": 0.5, "num_queries": 3}


def test_a_run_is_found_by_its_folder_its_name_or_a_part_of_it(tmp_path):
    one, two = write_model(tmp_path, method="histogram"), write_model(tmp_path)
    for name in (str(two.folder), two.folder.name, two.folder.name[-8:], two.folder.name[-8:-4]):
        assert runs.find(name, tmp_path).folder.name == two.folder.name
    assert [run.folder.name for run in runs.finished(tmp_path, with_model=True)] == [two.folder.name]
    for name, words in (("synthetic", "'synthetic' fits 2 runs"), ("resnet999", "no run 'resnet999'")):
        with pytest.raises(ValueError, match=words) as caught:
            runs.find(name, tmp_path)
        assert one.folder.name in str(caught.value) and two.folder.name in str(caught.value)


def test_a_run_without_a_model_that_says_something_is_refused(tmp_path):
    run = write_run(tmp_path, [0.25, 0.75])
    with pytest.raises(FileNotFoundError, match="no model.keras .committed reference runs.*gaap run 02_train"):
        runs.find(run.folder.name, tmp_path, with_model=True)
    (run.folder / "model.keras").touch()
    finish(run, status="diverged", reason="loss is nan in epoch 1", retrieval=None)
    with pytest.raises(ValueError, match="diverged .loss is nan in epoch 1"):
        runs.find(run.folder.name, tmp_path, with_model=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda metrics: "", "cannot be read"),
        (lambda metrics: json.dumps(metrics)[:100], "cannot be read"),
        (lambda metrics: "[]", "has the schema None"),
        (lambda metrics: json.dumps(metrics | {"schema": 2}), "has the schema 2; this version of gaaplib reads 1"),
        (lambda metrics: json.dumps({"schema": 1, "run_id": "x"}), "lacks status"),
        (lambda metrics: json.dumps(metrics | {"config": {"sharpness": 1}}), "unknown parameter .sharpness."),
    ],
)
def test_a_run_that_cannot_be_read_is_named_and_left_out(tmp_path, damage, words):
    good, bad = write_run(tmp_path, [0.5, 0.5]), write_run(tmp_path, [0.5, 0.5], seed=1)
    (bad.folder / "metrics.json").write_text(damage(bad.metrics))
    with pytest.warns(UserWarning, match=f"left out .1.: .*seed1.*{words}"):
        assert runs.finished(tmp_path) == [good]
    with pytest.warns(UserWarning, match=words):
        assert runs.table(tmp_path).run_id.tolist() == [good.folder.name]
    with pytest.raises(ValueError, match=words):
        runs.find(str(bad.folder))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("outputs"))


def test_the_run_folder_says_how_to_load_its_model(trained):
    code = re.search("```python\n(.*)```", (trained.folder / "README.md").read_text(), re.DOTALL)[1]
    code = (
        "import numpy\nimages = numpy.zeros((2, 64, 32, 3), 'uint8')\n" + code + "\nprint(outputs['embedding'].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=trained.folder, capture_output=True, text=True)
    assert done.stdout == "(2, 512)\n", done.stderr


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 100]) + content[middle + 100 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"no model", lambda content: content[: len(content) // 2], flipped],
    ids=["empty", "text", "truncated", "flipped"],
)
def test_a_damaged_model_is_named(trained, damage):
    path = trained.model_file
    content = path.read_bytes()
    path.write_bytes(damage(content))
    try:
        with pytest.raises(ValueError, match="model.keras cannot be loaded .*trains it again"):
            trained.model()
    finally:
        path.write_bytes(content)


def test_a_model_without_an_embedding_is_named(tmp_path):
    run = write_run(tmp_path, [0.5, 0.5])
    images = keras.Input((64, 32, 3))
    keras.Model(images, keras.layers.GlobalAveragePooling2D()(images)).save(run.folder / "model.keras")
    with pytest.raises(ValueError, match="model.keras is no model of this package: its outputs lack the embedding"):
        run.model()


def test_a_run_without_its_settings_is_named(tmp_path):
    run = write_run(tmp_path, [0.5, 0.5])
    (run.folder / "config.json").write_text("{")
    with pytest.warns(UserWarning, match="config.json cannot be used .Expecting property name"):
        assert runs.finished(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_damaged_scores_are_named(tmp_path, damage):
    run = write_run(tmp_path, [0.5, 0.5])
    path = run.folder / "per_query.npz"
    path.write_bytes(path.read_bytes()[:-30] if damage is None else damage)
    with pytest.raises(ValueError, match="per_query.npz cannot be read .*repeat the run"):
        _ = run.per_query
    path.unlink()
    with pytest.raises(FileNotFoundError, match="per_query.npz is missing"):
        _ = run.per_query
