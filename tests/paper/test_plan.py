"""The plan has the paper's runs, each once, and the parameters that make 02_train produce exactly these."""

import dataclasses
import itertools
import json

import pytest
from made_runs import finish

from gaaplib import runs
from gaaplib.config import PROFILES, RunConfig
from gaaplib.paper import plan, tables
from gaaplib.paper.plan import Plan, arguments, reproduced
from gaaplib.runs.provenance import RESULTS


def test_the_matrix_is_the_papers():
    runs = Plan(precision="float32").matrix()
    assert {run.fold for run in runs} == {0}
    # Partial-iLIDS adds runs on i-LIDS.
    cells = [run for run in runs if run.dataset != "ilids"]
    assert len(cells) == 5 * 4 * 3 and len(runs) == 75
    assert {(run.attention, run.pooling) for run in cells} == {("none", "avg"), ("class", "avg"), ("class", "max")}
    assert all(run.train_dataset == "market1501" for run in runs if run.dataset == "partial_ilids")


@pytest.mark.parametrize(("profile", "folds"), [("paper", (0, 1, 2, 3, 4)), ("demo", (0,)), ("smoke", (0,))])
def test_the_profile_decides_on_the_folds_unless_they_are_given(profile, folds):
    assert Plan(profile).folds == folds
    assert Plan(profile, folds=(2,)).folds == (2,)


def test_a_run_is_in_the_first_part_that_asks_for_it_after_its_source():
    parts = Plan(precision="float32").parts()
    assert tuple(parts) == plan.PARTS
    ids = [run_id for part in parts.values() for run_id in part]
    assert len(ids) == len(set(ids)) == len(Plan(precision="float32").everything())
    for part in parts.values():
        for run_id, run in part.items():
            assert run_id == run.run_id
            source = run.training()
            assert source is None or ids.index(source.run_id) < ids.index(run_id)
    assert [*Plan().parts(("places", "matrix"))] == ["matrix", "places"]
    with pytest.raises(ValueError, match="part 'tables' is not known; known: block, matrix"):
        Plan().parts(["tables"])


# "own" is the training of other methods than the plan's.
@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "own"])
def test_each_run_can_be_made_from_the_parameters_of_the_notebook(profile, tmp_path):
    known = {field.name for field in dataclasses.fields(RunConfig)}
    for folder in ("synthetic", str(tmp_path)):
        for run in Plan(profile, data=folder, precision="float32").everything().values():
            given = arguments(run)
            assert given.keys() <= known
            assert RunConfig(**given).run_id == run.run_id


def test_each_trick_changes_one_setting():
    runs = Plan("long", datasets=("cuhk03",), precision="float32").tricks()
    changed = []
    for one, other in itertools.pairwise(runs):
        values = zip(one.to_dict().items(), other.to_dict().values(), strict=True)
        changed.append([name for (name, value), new in values if value != new])
    assert changed == [["warmup_epochs"], ["erase"], ["label_smoothing"], ["last_stride"], ["neck"], ["options"]]
    assert (runs[0].steps, runs[1].warmup_epochs, runs[0].epochs) == ("10 18", 2, 30)


def test_the_block_is_switched_in_both_protocols_for_each_seed():
    settings = [
        (run.training_images, run.seed, run.attention)
        for run in Plan("standard", datasets=("cuhk03",), seeds=(3, 5), precision="float32").block()
    ]
    expected = {(images, seed, name) for images in ("split", "all") for seed in (3, 5) for name in ("none", "class")}
    assert len(settings) == len(expected) and set(settings) == expected


def test_each_run_that_asks_why_has_one_to_compare_with():
    study = Plan("standard", datasets=("cuhk03",), precision="float32")
    configs = [*study.why(), *study.block()]
    # The start is asked with the first seed, and with all images for each of three.
    for field, value, against, number in [("attention_start", "identity", "random", 4), ("alpha", 1.0, 0.5, 1)]:
        assert len(tables.gains(configs, field, value, against, "closed", "mRA", "nowhere")) == number
    pairs = tables.gains(study.why(), "attention", "class", "none", "closed", "mRA", "nowhere")
    assert len(pairs) == 5


def test_a_plan_is_parsed_from_strings():
    words = {"backbones": "vgg16, resnet18", "datasets": "", "folds": "0 3", "seeds": 1, "profile": "smoke"}
    assert Plan.parse(**words) == Plan("smoke", backbones=("vgg16", "resnet18"), folds=(0, 3), seeds=(1,))
    assert Plan.parse(folds=[4]).folds == (4,)
    for wrong in ("1,two", "-1"):
        with pytest.raises(ValueError, match="expected whole numbers with commas"):
            Plan.parse(folds=wrong)


def test_data_sets_without_a_folder_are_left_out_by_name(tmp_path):
    for name in ("market1501", "partial_ilids"):
        (tmp_path / name).mkdir()
    usable, sentences = Plan(data=str(tmp_path)).usable()
    assert usable.datasets == ("market1501",)
    assert sentences == [
        f"raid is left out: missing folder {tmp_path / 'raid'}",
        f"partial_ilids is left out: missing folder {tmp_path / 'ilids'}",
        f"rpifield is left out: missing folder {tmp_path / 'rpifield'}",
    ]
    with pytest.raises(ValueError, match="no data set is available"):
        Plan(data=str(tmp_path), datasets=("raid",)).usable()
    assert Plan().usable() == (Plan(), [])


def test_ones_own_photographs_alone_are_in_the_data_folder_itself(tmp_path):
    alone = Plan(data=str(tmp_path), datasets=("folder",))
    assert {config.data for config in alone.usable()[0].block()} == {str(tmp_path)}
    both = Plan(data=str(tmp_path), datasets=("folder", "raid"))
    assert {config.data for config in both.block()} == {str(tmp_path / "folder")}


def test_a_link_keeps_its_own_path_as_in_gaap_run(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raid").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    plan = Plan(data="data", datasets=("raid",))
    assert plan.data == str(tmp_path / "data")
    config = plan.matrix()[0]
    assert config.data == str(tmp_path / "data" / "raid")


def test_reproduce_has_two_models_and_for_partial_ilids_their_closed_protocol():
    assert [run.attention for run in reproduced("demo", "raid").values()] == ["none", "class"]
    folders = {"data": "synthetic", "train_data": "synthetic", "ilids_data": "synthetic"}
    runs = reproduced("demo", "partial_ilids", **folders).values()
    assert [run.dataset for run in runs] == ["market1501", "partial_ilids"] * 2 + ["ilids"] * 2


def test_done_stale_and_missing(tmp_path):
    new, old, absent = Plan("smoke").matrix(backbones=("resnet18",))[:3]
    for config, number in ((new, RESULTS), (old, RESULTS - 1)):
        run = runs.begin(config, tmp_path)
        finish(run)
        metrics = run.metrics
        metrics["provenance"]["results"] = number
        (run.folder / "metrics.json").write_text(json.dumps(metrics))
    configs = [new, old, absent]
    assert [*plan.done(configs, tmp_path)] == [new.run_id, old.run_id]
    assert [*plan.stale(configs, tmp_path)] == [old.run_id]
    assert plan.missing(configs, tmp_path) == [absent]
