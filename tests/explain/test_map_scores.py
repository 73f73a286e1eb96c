"""Deletion and insertion of a run's maps: measured, kept in its folder, read and compared."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from made_runs import write_run

from gaaplib.cli import main
from gaaplib.explain import map_scores, run_maps
from gaaplib.runs import Run


@pytest.fixture(autouse=True, scope="module")
def _few_steps():
    """Cells are removed, and added, in four steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_maps, "STEPS", 4)
        yield


@pytest.fixture(scope="module")
def own(run, cache, tmp_path_factory):
    """The run in a folder of its own, where its maps may be measured."""
    folder = tmp_path_factory.mktemp("measured") / "runs" / run.folder.name
    shutil.copytree(run.folder, folder)
    return Run(folder)


@pytest.fixture(scope="module")
def said(own, cache):
    """What `gaap maps` prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAAP_OUTPUTS", str(cache))
        # The mean mask is no baseline here, so no masks of training images have to be read.
        patch.setattr("gaaplib.explain.localisation.mean_mask", lambda *_: pytest.fail("the masks were read"))
        result = CliRunner().invoke(main, ["maps", "--run", str(own.folder), "--queries", "6"])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


@pytest.fixture(scope="module")
def found(own, said):
    return map_scores.read(own)


def test_each_map_and_baseline_is_measured_on_the_same_queries(own, found):
    kinds = ["received", "energy", "Grad-CAM", "Grad-CAM, match", *map_scores.BASELINES]
    assert list(dict.fromkeys(found.kind)) == kinds
    pids = found.groupby("kind").pid.apply(list)
    assert all(each == pids.iloc[0] and len(each) == 6 for each in pids)
    assert list(found)[2:] == [*map_scores.BY_ORDER, *map_scores.ON_PERSON]
    # A whole image and its match have the same similarity whatever the order, so all areas are of one size.
    assert found[["deletion", "insertion"]].abs().max(axis=None) <= 1


def test_the_committed_maps_are_read():
    committed = map_scores.of_runs(Path(__file__).parents[2] / "outputs" / "reference")
    assert committed.index.get_level_values("data").unique().tolist() == ["cuhk03", "synthetic-market1501"]


def test_the_command_prints_each_verdict_and_where_the_file_is(own, said):
    *verdicts, path = said
    assert len(verdicts) == 4 * 5 * 3 and path == str(own.folder / "maps.csv")
    assert verdicts[0].startswith("received against uniform, deletion: ") and "(6 images)" in verdicts[0]


def test_a_map_that_is_the_same_everywhere_gives_no_order_and_is_left_out(plain, cache):
    try:
        found = map_scores.measure(plain, 2, outputs=cache)
        assert "received" not in set(found.kind)
        pd.testing.assert_frame_equal(found, map_scores.read(plain))
    finally:
        (plain.folder / map_scores.FILE).unlink()


def test_a_lower_area_is_a_gain_under_deletion_and_a_loss_under_insertion():
    low, high = np.linspace(0.1, 0.2, 20), np.linspace(0.5, 0.7, 20)
    areas = {"received": low, "uniform": high, "centre prior": low, "untrained": high}
    table = map_scores.table({name: {"deletion": one, "insertion": one} for name, one in areas.items()}, range(20))
    found = {(one.measure, one.baseline): one.verdict for one in map_scores.verdicts(table)}
    assert found == {
        ("deletion", "uniform"): "gain",
        ("deletion", "untrained"): "gain",
        ("deletion", "centre prior"): "no clear difference",
        ("insertion", "uniform"): "loss",
        ("insertion", "untrained"): "loss",
        ("insertion", "centre prior"): "no clear difference",
    }


def test_the_sentence_counts_gains_and_losses_of_each_data_set(own, found, tmp_path):
    assert map_scores.sentence(tmp_path) == "Maps of runs: none measured yet."
    first, second, third = map_scores.sentence(own.folder.parents[1]).replace("\n    ", " ").splitlines()
    assert first == "synthetic-market1501 (synthetic images), 1 measured run, GAAP's attention compared with"
    assert second.startswith("  a Gaussian at the image centre: ") and second.endswith(" in IoU at 0.5")
    assert " in deletion; " in second
    assert third.startswith("  the untrained network's: ")
    for seed in range(2):
        run = write_run(tmp_path, np.full(20, 0.5), dataset="cuhk03", data="photographs", attention="class", seed=seed)
        areas = {name: np.linspace(0.1, 0.2, 20) for name in ("uniform", "centre prior", "untrained")}
        areas = {name: {"deletion": values, "insertion": values} for name, values in areas.items()}
        areas["received"] = {"deletion": np.linspace(0.4, 0.6, 20), "insertion": np.linspace(0.4, 0.6, 20)}
        if seed:
            areas["untrained"]["insertion"] = np.linspace(0.8, 0.9, 20)
        map_scores.table(areas, range(20)).to_csv(run.folder / map_scores.FILE, index=False)
    assert map_scores.sentence(tmp_path) == (
        "cuhk03 (photographs), 2 measured runs, GAAP's attention compared with\n"
        "  a Gaussian at the image centre: loss in deletion; gain in insertion\n"
        "  the untrained network's: loss in deletion; gain (1) and loss (1) in insertion"
    )


def test_measured_runs_are_one_table(own, found):
    table = map_scores.of_runs(own.folder.parents[1])
    rows = list(dict.fromkeys(table.index.get_level_values("map")))
    assert rows == ["received", "energy", "Grad-CAM", "Grad-CAM, match"] and len(table) == 4 * 3
    assert set(table.queries) == {6} and list(table) == ["queries", "deletion", "insertion"]
    on_person = map_scores.of_runs(own.folder.parents[1], map_scores.ON_PERSON)
    assert list(on_person) == ["queries", *map_scores.ON_PERSON]
    assert map_scores.of_runs(own.folder).empty


def test_photographs_have_no_measures_that_need_masks(own, found, tmp_path):
    other = Run(shutil.copytree(own.folder, tmp_path / "runs" / own.folder.name))
    path = other.folder / map_scores.FILE
    pd.read_csv(path).drop(columns=[*map_scores.ON_PERSON]).to_csv(path, index=False)
    assert list(map_scores.read(other))[2:] == [*map_scores.BY_ORDER]
    assert map_scores.of_runs(tmp_path, map_scores.ON_PERSON).empty
    assert len(map_scores.of_runs(tmp_path)) == 4 * 3


@pytest.mark.parametrize(
    "content",
    ["", "kind,pid\nreceived,1\n", "kind,pid,deletion,insertion\nreceived,1,0.5,0.5\n", "\0\0\0", "kind\n" * 9],
)
def test_a_damaged_file_is_refused_by_name(own, found, content, tmp_path):
    other = Run(shutil.copytree(own.folder, tmp_path / own.folder.name))
    (other.folder / map_scores.FILE).write_text(content)
    with pytest.raises(ValueError, match="maps.csv .*gaap maps writes it anew"):
        map_scores.read(other)
    (other.folder / map_scores.FILE).unlink()
    with pytest.raises(FileNotFoundError, match="gaap maps --run"):
        map_scores.read(other)
