import math
from dataclasses import replace

import pytest
from made_runs import leave

from gaaplib.paper import audit, plan, tables, wording
from gaaplib.paper.plan import Plan

PRINTED = audit.read("paper_tables_1_2_3")
PLAN = Plan("smoke", backbones=("vgg16", "resnet18"), datasets=("raid", "partial_ilids"), precision="float32")


def test_only_keeps_what_has_the_settings():
    chosen = tables.only(PLAN.matrix(), backbone=("resnet18", "resnet50"), attention="class")
    assert {(config.backbone, config.attention, config.pooling) for config in chosen} == {
        ("resnet18", "class", "avg"),
        ("resnet18", "class", "max"),
    }


def test_one_row_per_planned_run(tmp_path):
    planned = tables.only(PLAN.matrix(), attention="class", pooling="avg")
    vgg_raid, vgg_from, vgg_ilids, raid, partial, ilids = planned
    assert [config.dataset for config in planned] == ["raid", "partial_ilids", "ilids"] * 2
    leave(vgg_raid, tmp_path, status="diverged")
    leave(raid, tmp_path, right=0.5)
    leave(ilids, tmp_path, right=0.1)
    closed = tables.scores(planned, "closed", "mRA", tmp_path).set_index(["backbone", "dataset"])
    assert closed.status.tolist() == ["diverged", "not run", "done", "done"]
    # The closed protocol of Partial-iLIDS uses i-LIDS, under the name of the cell.
    assert closed.run_id["resnet18", "partial_ilids"] == ilids.run_id
    row = closed.loc["resnet18", "raid"]
    assert (row.value, row.chance, row.queries, row.partnered, row.seconds) == (0.5, 0.1, 40, 0.4, 2.0)
    assert row.low < 0.5 < row.high
    assert closed.at_chance.tolist()[2:] == [False, True]
    # Without any hit, the interval has no width.
    leave(ilids, tmp_path, right=0.0)
    (none,) = tables.scores([ilids], "closed", "mRA", tmp_path).itertuples()
    assert none.low == none.high == 0.0 < none.chance and none.at_chance
    leave(ilids, tmp_path, right=0.1)
    assert closed.value.isna().tolist() == [True, True, False, False]
    assert wording.in_words(closed).tolist() == [
        "diverged",
        "not run",
        f"0.500 [{row.low:.3f}, {row.high:.3f}]",
        "0.100 [0.000, 0.250]\u2020",
    ]
    start = "2 of 4 runs have a score; 1 diverged: vgg16 on raid; 1 not above chance: resnet18 on"
    assert wording.marked(closed.reset_index()) == f"{start} partial_ilids"
    assert "\u2020" in wording.caption("closed", "mRA", closed)
    # Retrieval is scored on Partial-iLIDS itself, and that run is missing.
    retrieval = tables.scores(planned, "retrieval", "mAP", tmp_path).set_index(["backbone", "dataset"])
    assert retrieval.run_id["resnet18", "partial_ilids"] == partial.run_id
    # i-LIDS is measured in retrieval as well, and stands beside it under its own name.
    assert retrieval.run_id["resnet18", "ilids"] == ilids.run_id
    assert retrieval.status.tolist() == ["diverged", "not run", "done", "not run", "done"]
    wide = tables.by_dataset(retrieval.reset_index())
    assert wide.loc["vgg16"].tolist() == ["diverged", "not run", "not run"]
    assert list(wide.columns) == ["raid", "partial_ilids", "ilids"]


def test_i_lids_stands_beside_partial_ilids_if_both_are_measured(tmp_path):
    planned = tables.only(replace(PLAN, datasets=("partial_ilids",), seeds=(0,)).table_4(), method="bot")
    asked = [*planned, *(replace(PLAN, datasets=("ilids",)).matrix(backbones=("resnet18",))[:2])]
    for config, right in zip(asked, (0.5, 0.25, 0.75), strict=True):
        leave(config, tmp_path, right=right)
    found = tables.scores(asked, "retrieval", "CMC(1)", tmp_path).set_index(["dataset", "attention"]).value
    assert found.index.tolist() == [("partial_ilids", "none"), ("ilids", "none"), ("ilids", "class")]
    gained = tables.gains(asked, "attention", "class", "none", "retrieval", "CMC(1)", tmp_path)
    assert gained.dataset.tolist() == ["ilids"] and gained.difference.notna().all()


def test_missing_runs_are_reported_and_nothing_is_made_up(tmp_path):
    planned = PLAN.matrix()
    found = tables.scores(planned, "retrieval", "mAP", tmp_path / "missing")
    assert set(found.status) == {"not run"}
    assert found[["value", "low", "high", "chance"]].isna().all(axis=None)
    assert "\u2020" not in wording.caption("retrieval", "mAP", found)
    assert "AP by the step convention, on synthetic images" in wording.caption("retrieval", "mAP", found)
    assert wording.marked(found).startswith("0 of 12 runs have a score; 0 diverged; 0 not")
    beside = tables.beside_paper(found, PRINTED, "III")
    assert len(beside) == 8
    assert beside.loc[("vgg16", "raid", "avg"), "paper, 1-fold"] == "0.743"
    assert set(beside["synthetic, fold 0"]) == {"not run"}
    # One run is planned for each cell, so there is no mean over runs to wait for.
    assert list(beside) == ["paper, 1-fold", "synthetic, fold 0"]
    elsewhere = replace(PLAN, datasets=("cuhk03",), backbones=("resnet18", "resnet18_ibn")).matrix()
    beside = tables.beside_paper(tables.scores(elsewhere, "closed", "mRA", tmp_path / "missing"), PRINTED, "III")
    assert list(beside["paper, 1-fold"]) == [""] * 4 and set(beside["synthetic, fold 0"]) == {"not run"}
    gained = tables.gains(planned, "attention", "class", "none", "closed", "mRA", tmp_path / "missing")
    assert set(gained.verdict) == {"not run"}
    assert wording.tally(gained, "x") == "x: nothing to compare yet; 4 without both scores (not run)"
    assert wording.tally(gained[:0], "x") == "x: nothing to compare yet"
    words = plan.absent(planned, tmp_path / "missing")
    assert words.startswith("18 of 18 runs are missing") and "and 13 more" in words


def test_the_papers_cells_are_called_as_our_runs_are():
    cells = tables.paper_cells(PRINTED, "II", "CMC", folds=5).set_index(["backbone", "dataset", "attention"])
    assert len(cells) == 40
    row = PRINTED[(PRINTED.table == "II") & (PRINTED.metric == "CMC") & (PRINTED.folds == 5)].iloc[0]
    named = (row.backbone, row.dataset, {"gaap": "class"}.get(row.attention, row.attention))
    assert cells.value[named] == row.value


def test_folds_are_averaged_beside_the_papers_five(tmp_path):
    study = Plan("smoke", backbones=("resnet18",), datasets=("raid",), precision="float32")
    planned = tables.only(study.all_folds(), attention="class", pooling="avg")
    for config, right in zip(planned, (0.4, 0.5, 0.6, None, None), strict=True):
        if right:
            leave(config, tmp_path, right)
    found = tables.scores(planned, "closed", "CMC(1)", tmp_path)
    row = tables.over_runs(found).iloc[0]
    assert (row["mean"], row.n, row.planned, row.failed) == (pytest.approx(0.5), 3, 5, 0)
    assert row.sd == pytest.approx(0.1)
    beside = tables.beside_paper(found, PRINTED, "I", "CMC")
    # Attention and pooling do not vary in Table I, so they are not in its index.
    assert beside.index.names == ["backbone", "dataset"]
    assert beside.loc[("resnet18", "raid"), "paper, 5-fold"] == "0.785"
    assert beside.loc[("resnet18", "raid"), "synthetic, fold 0"].startswith("0.400 [")
    assert beside.loc[("resnet18", "raid"), "synthetic, mean over runs"] == "0.500 \u00b1 0.100 (sd of 3 of 5)"


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"), [(0.9, 0.3, "gain"), (0.3, 0.9, "loss"), (0.5, 0.5, "no clear difference")]
)
def test_gains_are_paired(tmp_path, ours, theirs, verdict):
    study = Plan("smoke", backbones=("resnet18",), datasets=("raid",), precision="float32")
    without, with_block, maximum = study.matrix()
    leave(with_block, tmp_path, ours)
    leave(without, tmp_path, theirs)
    leave(maximum, tmp_path, status="diverged")
    for protocol in ("closed", "retrieval"):
        found = tables.gains(study.matrix(), "attention", "class", "none", protocol, "CMC(1)", tmp_path)
        assert found.difference.tolist() == [pytest.approx(ours - theirs)]
        assert found.verdict.tolist() == [verdict]
        assert (found.run_id.item(), found.against.item()) == (with_block.run_id, without.run_id)
        words = " ".join(wording.tally(found, "attention").split())
        assert words.startswith(f"attention: {ours - theirs:+.3f} [") and words.endswith(f"{verdict} (1 of 1 pairs)")
    pooled = tables.gains(study.matrix(), "pooling", "avg", "max", "closed", "CMC(1)", tmp_path)
    assert pooled.verdict.tolist() == ["diverged"]
    assert math.isnan(pooled.difference.item())
    assert wording.tally(pooled, "average") == "average: nothing to compare yet; 1 without both scores (diverged)"


def test_a_backbone_brings_its_learning_rate_along(tmp_path):
    study = Plan("paper", backbones=("resnet18", "resnet50"), datasets=("raid",), folds=(0,), precision="float32")
    assert len({config.learning_rate for config in study.matrix()}) == 2
    found = tables.gains(study.matrix(), "backbone", "resnet50", "resnet18", "closed", "mRA", tmp_path)
    assert found.pooling.tolist() == ["avg", "avg", "max"]


def test_what_goes_along_with_a_training_set_and_with_a_method_is_no_difference(tmp_path):
    crossings = Plan("smoke", datasets=("raid", "rpifield"), precision="float32").crossings()
    for config in crossings[:2]:
        leave(config, tmp_path, 0.6 if config.train_dataset is None else 0.2)
    assert tables.gains(crossings, "train_dataset", "raid", None, "retrieval", "CMC(1)", tmp_path).verdict.tolist() == [
        "not run",
        "not run",
    ]
    leave(crossings[3], tmp_path, 0.9)
    found = tables.gains(crossings, "train_dataset", "raid", None, "retrieval", "CMC(1)", tmp_path)
    assert found.dataset.tolist() == ["rpifield", "rpifield"]
    assert found.difference.iloc[0] == pytest.approx(0.2 - 0.9)
    methods = Plan("paper", precision="float32").methods()
    assert len({config.sampler for config in methods}) == 2
    assert len(tables.gains(methods, "method", "gaap", "triplet", "closed", "mRA", tmp_path)) == 2


def test_crossings_stand_by_what_was_trained_on_with_chance_below(tmp_path):
    study = Plan("smoke", datasets=("raid", "partial_ilids"), precision="float32")
    leave(study.crossings()[0], tmp_path, 0.6)
    table = tables.crossed(tables.scores(study.crossings(), "retrieval", "CMC(1)", tmp_path))
    assert table.index.tolist() == [("none", "raid"), ("class", "raid"), ("chance", "")]
    assert table.columns.tolist() == ["raid", "partial_ilids"]
    assert table.raid.str[:5].tolist() == ["0.600", "not r", "0.100"]
    assert table.partial_ilids.tolist() == ["not run", "not run", ""]


def test_changes_are_told_apart_by_what_both_sides_share(tmp_path):
    ablation = PLAN.poolings()
    wanted = [("pooling", "gem", "avg"), ("pool_over", "class", "positions")]
    found = tables.changes(ablation, wanted, ["attention", "pooling", "pool_over"], "closed", "mRA", tmp_path)
    assert list(found.index) == [
        ("gem minus avg", "none", "positions"),
        ("gem minus avg", "class", "positions"),
        ("gem minus avg", "class", "class"),
        ("class minus positions", "class", "avg"),
        ("class minus positions", "class", "max"),
        ("class minus positions", "class", "gem"),
    ]


def test_measures_stand_side_by_side(tmp_path):
    ablation = PLAN.poolings()
    leave(ablation[0], tmp_path, 0.5)
    measures = [("closed", "mRA"), ("retrieval", "mAP")]
    table = tables.side_by_side(ablation, ["attention", "pool_over", "pooling"], measures, tmp_path)
    assert list(table.columns) == ["closed, mRA", "retrieval, mAP"]
    assert table.loc["none", "positions", "avg"].str.startswith("0.500 [").all()
    assert (table.iloc[1:] == "not run").all(axis=None)


def test_only_what_is_missing_is_trained(tmp_path, monkeypatch):
    study = Plan("smoke", backbones=("resnet18",), datasets=("raid",), precision="float32")
    planned = study.matrix()
    leave(planned[0], tmp_path)
    made = []
    monkeypatch.setattr(plan.experiment, "run", lambda config, outputs: made.append(leave(config, outputs)))
    assert plan.complete(planned, outputs=tmp_path).startswith("2 of 3 runs are missing")
    assert made == []
    assert plan.complete(planned, train=True, outputs=tmp_path) == "All 3 runs are finished."
    assert [run.folder.name for run in made] == [config.run_id for config in planned[1:]]


@pytest.mark.parametrize(
    ("protocol", "title", "message"),
    [
        ("open", "mAP", "protocol='open' is not known; known: retrieval, closed"),
        ("closed", "mINP", "'mINP' is no measure"),
    ],
)
def test_unknown_measures_are_refused(tmp_path, protocol, title, message):
    with pytest.raises(ValueError, match=message):
        tables.scores(PLAN.matrix(), protocol, title, tmp_path)
    with pytest.raises(ValueError, match=message):
        tables.gains(PLAN.matrix(), "pooling", "avg", "max", protocol, title, tmp_path)
