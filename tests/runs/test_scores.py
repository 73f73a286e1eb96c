import numpy as np
import pandas as pd
import pytest
from made_runs import finish, write_run

from gaaplib import runs
from gaaplib.config import RunConfig


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


def test_photographs_in_another_layout_are_named_by_their_folder(tmp_path):
    crossing = {"train_dataset": "cuhk03", "train_data": "data/cuhk03"}

    def name(as_published=False, **changes):
        run = write_run(tmp_path, [0.5, 0.7], **changes)
        metrics = run.metrics
        metrics["data"]["as_published"] = as_published
        return runs.data_name(metrics)

    assert name(data="data/pku", **crossing) == "pku-from-cuhk03"
    assert name(data="data/pku", as_published=True, **crossing) == "market1501-from-cuhk03"
    assert name(**crossing) == "synthetic-market1501-from-cuhk03"
    assert name(dataset="folder", data="data/pku") == "folder"
    assert name(dataset="cuhk03", data="data/cuhk03", variant="labeled") == "cuhk03-labeled"


def test_compare_has_chance_first_and_intervals(tmp_path):
    run = write_run(tmp_path, [0.2, 0.4, 0.6, 0.8] * 3, first_hit=[1, 2, 1, 9] * 3, pid=np.arange(12))
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
    # Five identities are always right, with three images each; five are never, with one.
    ranks, pids = [1] * 15 + [4] * 5, [*np.repeat(np.arange(5), 3), *range(5, 10)]
    np.savez(run.folder / "per_image.npz", rank=ranks, pid=pids, row=range(20))
    chance = {"mRA": 0.5, "mAP": 0.75, "cmc1": 0.5, "cmc5": 1.0}
    finish(run, closed={"chance": chance})
    table = runs.compare_closed({"ours": run})
    assert table.loc["chance", "mRA"] == "0.500"
    assert table.loc["ours", "mRA"].startswith("0.500 [")
    assert table.loc["ours", "CMC(1)"].startswith("0.750 [")
    assert table.loc["ours", "mAP"].startswith("0.812 [")


def test_queries_without_a_match_are_left_out(tmp_path):
    run = write_run(tmp_path, [0.2, np.nan, 0.6], first_hit=[1, np.nan, 4], pid=[1, 2, 3], valid=[True, False, True])
    assert runs.compare({"ours": run}).loc["ours", "mAP"] == "0.400 (2 identities)"
    assert runs.cmc(run, 1).tolist() == [0.5]


def test_a_difference_is_paired(tmp_path):
    base = np.linspace(0.1, 0.8, 20)
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
