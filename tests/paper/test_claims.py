import json

import numpy as np
import pandas as pd
import pytest
from made_runs import finish, pair, write_run

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.evaluation.statistics import UNCLEAR
from gaaplib.paper import audit, claims

CLAIMS = audit.read("claims")


@pytest.mark.parametrize(
    ("low", "high", "arguments", "expected"),
    [
        (0.01, 0.05, {}, claims.SUPPORTED),
        (-0.05, -0.01, {}, claims.CONTRADICTED),
        (-0.01, 0.05, {}, UNCLEAR),
        (np.nan, np.nan, {}, UNCLEAR),
        (0.2, 0.4, {"test": "size", "figure": 0.3}, claims.SUPPORTED),
        (0.1, 0.2, {"test": "size", "figure": 0.3}, claims.CONTRADICTED),
        (0.4, 0.5, {"test": "size", "figure": 0.3}, claims.CONTRADICTED),
        (-0.1, 0.4, {"test": "size", "figure": 0.3}, UNCLEAR),
        (0.05, 0.085, {"test": "size", "figure": 0.1, "tolerance": 0.02}, claims.SUPPORTED),
        (0.05, 0.075, {"test": "size", "figure": 0.1, "tolerance": 0.02}, claims.CONTRADICTED),
    ],
)
def test_verdicts(low, high, arguments, expected):
    assert claims.verdict(low, high, **arguments) == expected


def test_half_the_effect_needs_four_times_the_queries():
    assert claims.queries_needed(-0.1, 0.1, 100, 0.1) == 100
    assert claims.queries_needed(-0.1, 0.1, 100, 0.05) == 400
    assert claims.queries_needed(-0.1, 0.1, 100, -0.05) == 400
    assert claims.queries_needed(0.1, 0.1, 100, 0.05) is None
    assert claims.queries_needed(-0.1, 0.1, 100, 0) is None


def test_terms_choose_configurations():
    config = RunConfig("smoke", backbone="resnet34").to_dict()
    assert claims.matches(config, "method=gaap backbone=resnet18|resnet34 train_dataset=None")
    assert not claims.matches(config, "backbone=resnet18")
    assert not claims.matches(config, "method!=gaap|triplet")
    assert claims.matches(config, "method!=triplet")


def judged(found):
    return claims.judged(CLAIMS, claims.evidence(CLAIMS, found), {})


def test_real_runs_decide_a_claim(tmp_path):
    table = judged(pair(tmp_path, 0.8, 0.5, data="somewhere"))
    assert table.loc["attention helps", "verdict"] == claims.SUPPORTED
    assert table.loc["attention helps", "measured"].startswith("market1501: +0.300 [")
    assert table.loc["attention adds 30 %", "verdict"] == claims.SUPPORTED
    assert table.loc["average beats maximum", "verdict"] == claims.NOT_TESTED
    assert int(table.loc["attention helps", "queries needed"]) < 60


def test_a_copy_that_is_not_the_published_one_does_not_decide(tmp_path):
    found = pair(tmp_path, 0.8, 0.5, data="somewhere")
    for run in found:
        content = run.metrics
        content["data"]["as_published"] = False
        (run.folder / "metrics.json").write_text(json.dumps(content))
    table = judged(found)
    assert set(table.verdict) == {claims.NOT_TESTED}
    # Named by its folder: Market-1501 is only its layout.
    assert table.loc["attention helps", claims.PHOTOGRAPHS].startswith("somewhere: +0.300 [")


def test_synthetic_runs_have_their_column_and_never_decide(tmp_path):
    table = judged(pair(tmp_path, 0.8, 0.5))
    assert set(table.verdict) == {claims.NOT_TESTED}
    assert set(table[f"verdict on {claims.PHOTOGRAPHS}"]) == {claims.NOT_TESTED}
    assert table.loc["attention helps", "synthetic"].startswith("synthetic-market1501: +0.300 [")
    assert table.loc["attention helps", "measured"] == "none"


def test_photographs_of_other_data_sets_have_a_verdict_of_their_own(tmp_path):
    table = judged(pair(tmp_path, 0.8, 0.5, dataset="cuhk03", data="somewhere"))
    assert set(table.verdict) == {claims.NOT_TESTED}
    assert table.loc["attention helps", claims.PHOTOGRAPHS].startswith("cuhk03: +0.300 [")
    assert table.loc["attention helps", f"verdict on {claims.PHOTOGRAPHS}"] == claims.SUPPORTED
    assert table.loc["attention helps", "synthetic"] == "none"


def test_a_model_trained_on_synthetic_images_does_not_decide(tmp_path):
    found = pair(tmp_path, 0.8, 0.5, data="somewhere", train_dataset="raid", train_data="synthetic")
    table = judged(found)
    assert set(table.verdict) == {claims.NOT_TESTED}
    assert table.loc["attention helps", "synthetic"].startswith("market1501-from-synthetic-raid: +0.300")


def test_runs_on_both_sides_are_told_apart(tmp_path):
    pair(tmp_path, 0.9, 0.3)
    table = judged(pair(tmp_path, 0.3, 0.6, data="somewhere"))
    assert table.loc["attention helps", "verdict"] == claims.CONTRADICTED
    assert "+0.600" in table.loc["attention helps", "synthetic"]


def test_pairs_that_disagree_do_not_decide(tmp_path):
    pair(tmp_path, 0.8, 0.5, data="somewhere", seed=1)
    table = judged(pair(tmp_path, 0.5, 0.8, data="somewhere", seed=2))
    assert table.loc["attention helps", "verdict"] == UNCLEAR
    assert table.loc["attention helps", "measured"] == (
        "market1501: 2 pairs, -0.300 to +0.300, intervals within [-0.417, +0.417]"
    )


def test_each_data_set_of_other_photographs_has_its_verdict_if_they_disagree(tmp_path):
    pair(tmp_path, 0.8, 0.5, dataset="cuhk03", data="somewhere")
    table = judged(pair(tmp_path, 0.5, 0.8, dataset="folder", data="elsewhere"))
    words = table.loc["attention helps", f"verdict on {claims.PHOTOGRAPHS}"]
    assert words == f"cuhk03: {claims.SUPPORTED}; folder: {claims.CONTRADICTED}"


def test_only_runs_that_differ_in_the_claim_are_a_pair(tmp_path):
    write_run(tmp_path, np.full(4, 0.9), attention="class", backbone="resnet50", data="somewhere")
    write_run(tmp_path, np.full(4, 0.5), attention="none", data="somewhere")
    diverged = runs.begin(RunConfig("smoke", attention="none", backbone="resnet50", data="somewhere"), tmp_path)
    finish(diverged, status="diverged")
    assert claims.evidence(CLAIMS, runs.finished(tmp_path)).empty


def test_methods_are_compared_on_one_backbone_and_with_gaap_as_the_paper_has_it(tmp_path):
    def against_agw(**changes):
        write_run(tmp_path, np.full(4, 0.9), attention="class", data="somewhere", **changes)
        found = claims.evidence(CLAIMS, runs.finished(tmp_path))
        return found[found.claim == "it beats AGW"].run.tolist()

    write_run(tmp_path, np.full(4, 0.5), method="agw", data="somewhere")
    assert against_agw(attention_start="identity") == []
    assert against_agw(backbone="resnet34") == []
    assert len(against_agw()) == 1


def test_without_runs_nothing_is_tested(tmp_path):
    assert runs.finished(tmp_path / "missing") == []
    assert set(judged([]).verdict) == {claims.NOT_TESTED}


def test_claims_about_the_cells_are_decided_by_arithmetic():
    tables, table_4 = audit.read("paper_tables_1_2_3"), audit.read("paper_table_4")
    borne_out = audit.borne_out_by_the_cells(CLAIMS, tables, table_4)
    assert borne_out.keys() == set(CLAIMS.claim[CLAIMS.test == "cells"])
    verdicts = claims.judged(CLAIMS, claims.evidence(CLAIMS, []), {}, borne_out).verdict
    assert {claim: verdicts[claim] for claim in borne_out} == dict.fromkeys(borne_out, claims.CONTRADICTED)
    better = tables.copy()
    is_vgg = better.backbone.str.startswith("vgg") & (better.table == "II") & (better.attention == "none")
    better.loc[is_vgg, "value"] += 0.1
    assert audit.borne_out_by_the_cells(CLAIMS, better, table_4)["VGG gains nothing"]


def test_seconds_need_several_pairs(tmp_path):
    stated = CLAIMS[CLAIMS.measure == "seconds"]
    for seed, (ours, theirs) in enumerate([(10, 20), (12, 21), (11, 22)]):
        for seconds, changes in ((ours, {"attention": "class"}), (theirs, {"attention": "none", "method": "triplet"})):
            config = RunConfig("smoke", backbone="resnet50", data="somewhere", seed=seed, **changes)
            run = runs.begin(config, tmp_path)
            finish(run, retrieval={"mAP": 0.5}, seconds={"training": seconds})
        found = claims.evidence(stated, runs.finished(tmp_path))
        table = claims.judged(stated, found, {})
        expected = UNCLEAR if seed == 0 else claims.SUPPORTED
        if seed != 1:
            assert table.verdict.tolist() == [expected]
    assert found.difference.tolist() == [10.0]
    assert found.run.tolist() == ["3 pairs of runs"]


def test_seconds_that_nobody_measured_are_no_number(tmp_path):
    stated = CLAIMS[CLAIMS.measure == "seconds"]
    for changes in ({"attention": "class"}, {"attention": "none", "method": "triplet"}):
        config = RunConfig("smoke", backbone="resnet50", data="somewhere", **changes)
        finish(runs.begin(config, tmp_path), retrieval={"mAP": 0.5}, seconds={"evaluation": 1.0})
    found = claims.evidence(stated, runs.finished(tmp_path))
    assert found.empty and claims.judged(stated, found, {}).measured.tolist() == ["none"]
    unknown = [stated.claim.item(), "market1501", True, "run", "other", *[np.nan] * 4]
    table = claims.judged(stated, pd.DataFrame([unknown], columns=claims.EVIDENCE), {})
    assert table.measured.tolist() == ["market1501: not measured"]
    assert table.verdict.tolist() == [claims.NOT_TESTED]


def test_counted_claims_need_no_data():
    stated = CLAIMS[CLAIMS.measure == "parameters"].replace("backbone=resnet50", "backbone=resnet18", regex=True)
    found = claims.counted(stated)
    assert found.difference.tolist() == [-512 * 512 * 5 // 4] * 2
    table = claims.judged(stated, found, {})
    assert table.verdict.to_dict() == {
        "the block adds little": claims.NOT_TESTED,
        "it is lighter than metric learning": claims.CONTRADICTED,
    }
