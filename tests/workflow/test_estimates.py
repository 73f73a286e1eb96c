"""Estimates follow from measured steps and counted images alone."""

import json

import estimates
import pandas as pd
import pytest
from made_runs import finish

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.datasets import market1501
from gaaplib.datasets.splits import protocol_split


def test_seconds_are_steps_and_images():
    config = RunConfig("demo", epochs=5, batch_size=32)
    counts = estimates.images(config.dataset, config.data, config.variant, config.scale)
    times = {estimates.kind(config): (2.0, 0.5, 7.0)}
    scored = counts["query"] + counts["gallery"]
    trained = 5 * (counts["train"] // 32 * 2.0 + counts["val"] * 0.5)
    assert estimates.seconds(config, times) == pytest.approx(7 + trained + (scored + counts["test"]) * 0.5)
    # A run that scores another run's model only embeds.
    scored_only = RunConfig("demo", dataset="raid", train_dataset="market1501", train_data="synthetic")
    counts = estimates.images("raid", "synthetic", None, scored_only.scale)
    times = {estimates.kind(scored_only): (2.0, 0.5, 7.0)}
    assert estimates.seconds(scored_only, times) == pytest.approx((counts["query"] + counts["gallery"]) * 0.5)
    assert estimates.seconds(RunConfig("demo", method="histogram"), {}) == 0


@pytest.mark.parametrize("dataset", ["market1501", "raid", "partial_ilids", "ilids"])
def test_a_twins_images_are_about_those_that_are_generated(dataset, outputs):
    config = RunConfig("smoke", dataset=dataset)
    found = runs.load_data(config).table.role.value_counts()
    expected = estimates.images(dataset, config.data, None, config.scale)
    assert sum(expected.values()) == pytest.approx(found.sum(), rel=0.02)
    # Queries and gallery differ in their cameras only.
    for roles in (["train"], ["val", "test"], ["query", "gallery"]):
        one, other = (sum(counts.get(role, 0) for role in roles) for counts in (expected, found))
        assert one == pytest.approx(other, rel=0.2, abs=5), roles


def test_a_copys_images_are_counted_without_opening_one(tmp_path, monkeypatch):
    names = [f"{pid:04}_c{camera}s1_{n:06}_01.jpg" for pid in range(2, 12) for camera in (1, 2) for n in range(6)]
    rows = [(name, int(name[:4]), int(name[6]), "all") for name in names]
    records = pd.DataFrame(rows, columns=["path", "pid", "camid", "split"])
    monkeypatch.setattr(market1501, "read", lambda root: records)
    counts = estimates.images("market1501", str(tmp_path))
    assert counts == protocol_split(records).role.value_counts().to_dict()


def test_steps_are_timed_once_and_a_damaged_cache_is_measured_anew(outputs, monkeypatch):
    configs = [RunConfig("smoke", attention=attention) for attention in ("none", "class", "class")]
    asked = []
    monkeypatch.setattr(estimates, "_timed", lambda config: asked.append(config.attention) or (0.5, 0.25, 7.0))
    times = estimates.step_times(configs)
    assert times == {estimates.kind(config): (0.5, 0.25, 7.0) for config in configs}
    assert asked == ["none", "class"]
    assert estimates.step_times([*configs, RunConfig("smoke", method="histogram")]) == times
    assert asked == ["none", "class"]
    (file,) = outputs.glob("cache/*.json")
    for content in ("{", "[]", '{"a": {"b": [1, 1]}}', '{"a": {"b": [1, -1, 1]}}', '{"a": {"b": "cde"}}'):
        file.write_text(content)
        asked.clear()
        assert estimates.step_times(configs) == times
        assert asked == ["none", "class"]
    # Times of another machine or other code stay in the file.
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({"another": {"kind": [1, 1, 1]}, **kept}))
    asked.clear()
    assert estimates.step_times(configs[:1]) == times
    assert not asked


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_a_step_is_timed_for_real(outputs, profile):
    config = RunConfig(profile, height=64, width=32, batch_size=8)
    ((name, (step, image, begin)),) = estimates.step_times([config]).items()
    assert name == estimates.kind(config)
    assert 1e-3 < step < 60
    assert 1e-5 < image < step
    assert 0 < begin < 120


def test_the_notebooks_own_time_is_the_median_of_finished_runs(tmp_path):
    assert estimates.overhead(tmp_path) == (estimates.OVERHEAD, 0)
    for seed, duration in enumerate((50, 80, 130, 9, None)):
        run = runs.begin(RunConfig("smoke", seed=seed), tmp_path)
        finish(run, seconds={"data": 10, "training": 30})
        metadata = {"papermill": {"duration": duration}} if duration else {}
        (run.folder / "notebook.ipynb").write_text(json.dumps({"metadata": metadata}))
    assert estimates.overhead(tmp_path) == (40, 3)
