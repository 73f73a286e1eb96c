import json

import numpy as np
import pandas as pd
import pytest
from made_runs import finish, write_run

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
    (run.folder / "model.keras").write_bytes(b"old")
    runs.begin(run.config, tmp_path)
    assert sorted(path.name for path in run.folder.iterdir()) == ["config.json"]


def test_numbers_that_are_missing_are_null_in_strict_json(tmp_path):
    run = runs.begin(RunConfig("smoke"), tmp_path)
    finish(run, retrieval={"mAP": np.nan, "cmc1": np.float32(0.5), "num_queries": np.int64(3)})
    text = (run.folder / "metrics.json").read_text()
    assert "NaN" not in text
    retrieval = json.loads(text)["retrieval"]
    assert retrieval == {"mAP": None, "cmc1": 0.5, "num_queries": 3}


def test_the_table_has_a_row_a_finished_run(tmp_path):
    assert runs.table(tmp_path).empty
    write_run(tmp_path, [0.5, 0.7], backbone="resnet18")
    write_run(tmp_path, [0.5, 0.7], backbone="resnet34", data="somewhere")
    runs.begin(RunConfig("smoke", backbone="resnet50"), tmp_path)
    table = runs.table(tmp_path)
    assert sorted(table.backbone) == ["resnet18", "resnet34"]
    assert sorted(table.data) == ["market1501", "synthetic-market1501"]
    assert table.retrieval_mAP.tolist() == [0.5, 0.5]
    assert table.closed_mRA.isna().all()
    assert tuple(table.columns) == runs.COLUMNS


def test_compare_has_chance_first_and_intervals(tmp_path):
    run = write_run(tmp_path, [0.2, 0.4, 0.6, 0.8], first_hit=[1, 2, 1, 9], pid=[1, 2, 3, 4])
    table = runs.compare({"ours": run})
    assert table.index.tolist() == ["chance", "ours"]
    assert table.loc["chance", "mAP"] == "0.100"
    assert table.loc["ours", "mAP"].startswith("0.500 [")
    assert table.loc["ours", "CMC(1)"].startswith("0.500 [")
    assert table.loc["ours", "CMC(5)"].startswith("0.750 [")
    assert runs.cmc(run, 3).tolist() == [0.5, 0.75, 0.75]


def test_the_closed_protocol_has_intervals_over_identities(tmp_path):
    run = write_run(tmp_path, [0.5, 0.7])
    with pytest.raises(ValueError, match="has no closed protocol"):
        runs.compare_closed({"ours": run})
    # One identity is always right, with three images; one is never, with one.
    np.savez(run.folder / "per_image.npz", rank=[1, 1, 1, 4], pid=[5, 5, 5, 9], row=range(4))
    chance = {"mRA": 0.5, "mAP": 0.75, "cmc1": 0.5, "cmc5": 1.0}
    finish(run, closed={"chance": chance})
    table = runs.compare_closed({"ours": run})
    assert table.loc["chance", "mRA"] == "0.500"
    assert table.loc["ours", "mRA"].startswith("0.500 [")
    assert table.loc["ours", "CMC(1)"].startswith("0.750 [")
    assert table.loc["ours", "mAP"].startswith("0.812 [")


def test_queries_without_a_match_are_left_out(tmp_path):
    run = write_run(tmp_path, [0.2, np.nan, 0.6], first_hit=[1, np.nan, 4], pid=[1, 2, 3], valid=[True, False, True])
    assert runs.compare({"ours": run}).loc["ours", "mAP"].startswith("0.400 [")
    assert runs.cmc(run, 1).tolist() == [0.5]


def test_a_difference_is_paired(tmp_path):
    base = np.linspace(0.1, 0.8, 12)
    one = write_run(tmp_path, base + 0.05, seed=1)
    two = write_run(tmp_path, base, seed=2)
    ahead = runs.difference(one, two)
    assert ahead.estimate == pytest.approx(0.05)
    assert ahead.low == pytest.approx(0.05) == ahead.high
    with pytest.raises(ValueError, match="same queries"):
        runs.difference(one, write_run(tmp_path, base[:-2], seed=3))


def test_a_diverged_run_is_not_compared(tmp_path):
    run = runs.begin(RunConfig("smoke"), tmp_path)
    finish(run, status="diverged")
    assert pd.isna(runs.table(tmp_path).retrieval_mAP[0])
    with pytest.raises(ValueError, match="ours .* diverged"):
        runs.compare({"ours": run})
