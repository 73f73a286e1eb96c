import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import pair, write_run
from oracles import audit as oracle

from gaaplib import runs
from gaaplib.paper import audit, sota

TABLE_4 = audit.read("paper_table_4")


def test_results_of_runs_have_intervals_over_queries_or_over_runs(tmp_path):
    pair(tmp_path, 0.8, 0.5, data="somewhere", training_images="all")
    one = sota.measured(runs.finished(tmp_path)).set_index("method")
    assert tuple(one.reset_index().columns) == tuple(sota.RESULTS)
    row = one.loc["gaap resnet18 class avg smoke"]
    assert row.rank1 == 0.8
    assert row.rank1_low < 0.8 < row.rank1_high
    assert (row.dataset, row.height, row.width, row.pretraining, row.ap) == (
        "market1501",
        64,
        32,
        "from scratch",
        "step",
    )
    assert not row.synthetic
    pair(tmp_path, 0.8, 0.5, data="somewhere", seed=1, training_images="all")
    two = sota.measured(runs.finished(tmp_path)).set_index("method")
    assert "softmax resnet18 none avg smoke" in two.index
    assert two.loc["gaap resnet18 class avg smoke", "source"] == "2 runs"
    assert two.loc["gaap resnet18 class avg smoke", "rank1"] == pytest.approx(0.6)


def test_only_folds_and_seeds_are_averaged(tmp_path):
    kept = {
        "alpha": 0.25,
        "sampler": "shuffled",
        "pool_over": "class",
        "precision": "mixed_bfloat16",
    }
    for name, value in [("fold", 0), ("fold", 1), ("seed", 1), *kept.items()]:
        write_run(tmp_path, np.full(60, 0.5), attention="class", training_images="all", **{name: value})
    write_run(tmp_path, np.full(60, 0.5), attention="class", dataset="raid", train_dataset="market1501")
    found = sota.measured(runs.finished(tmp_path)).set_index("method").source.to_dict()
    name = "resnet18 class avg smoke"
    several = {f"gaap {name}": "3 runs"}
    assert several.items() <= found.items()
    assert set(found) - set(several) == {
        f"ablation {name} alpha=0.25",
        f"ablation {name} sampler=shuffled",
        f"ablation {name} pool_over=class",
        f"gaap {name} mixed_bfloat16",
    }


def test_models_from_elsewhere_are_named_by_their_files(tmp_path):
    same = {"method": "external", "height": 64, "width": 32, "data": "somewhere", "training_images": "all"}
    for name in ("osnet.onnx", "other.xml"):
        write_run(tmp_path, [0.25, 0.75], weights=str(tmp_path / name), **same)
    results = sota.measured(runs.finished(tmp_path)).set_index("method")
    assert list(results.index) == ["external osnet smoke", "external other smoke"]
    assert set(results.pretraining) == {"trained elsewhere"}


def test_an_interval_of_fractions_ends_at_zero_and_one(tmp_path):
    for seed, share in enumerate((0.1, 0.9)):
        write_run(tmp_path, np.full(60, share), mAP=share, seed=seed, training_images="all")
    (row,) = sota.measured(runs.finished(tmp_path)).itertuples()
    assert (row.source, row.mAP_low, row.mAP, row.mAP_high) == ("2 runs", 0, 0.5, 1)


def test_photographs_in_the_layout_of_a_data_set_are_not_that_data_set(tmp_path):
    run = write_run(tmp_path, np.full(60, 0.5), data="somewhere", training_images="all")
    assert sota.measured([run]).dataset.tolist() == ["market1501"]
    content = run.metrics
    content["data"]["as_published"] = False
    (run.folder / "metrics.json").write_text(json.dumps(content))
    found = sota.measured([run])
    assert found.dataset.tolist() == ["market1501, other images"]
    ways = sota.three_ways("market1501", "rank1", TABLE_4, audit.read("published_methods"), found).way
    assert set(ways) == {sota.PRINTED, sota.OWN}


def test_three_ways_side_by_side(tmp_path):
    published = audit.read("published_methods")
    results = sota.measured(pair(tmp_path, 0.8, 0.5, training_images="all"))
    row = dict.fromkeys(sota.RESULTS) | {
        "method": "PCB mine",
        "dataset": "market1501",
        "rank1": 0.7,
        "height": 384,
    }
    results = pd.concat(
        [results, pd.DataFrame([row | {"height": 384, "width": 128, "synthetic": False}])], ignore_index=True
    )
    found = sota.three_ways("market1501", "rank1", TABLE_4, published, results)
    table = sota.side_by_side(found)
    assert table.index.tolist() == [*TABLE_4.method.drop_duplicates()]
    assert table.columns.tolist() == [sota.PRINTED, sota.OWN, sota.HERE]
    assert table.loc["PCB", [sota.PRINTED, sota.OWN, sota.HERE]].tolist() == [0.808, 0.923, 0.7]
    assert np.isnan(table.loc["HAN", sota.OWN])
    assert np.isnan(table.loc["GAAP", sota.HERE])
    assert set(found[found.way == sota.HERE].method) == {"PCB"}
    protocols = found[found.method == "PCB"].protocol.tolist()
    assert protocols[-1] == "mine, 384 x 128, pre-training unknown, AP convention unknown"
    for elsewhere in ({"dataset": "synthetic-raid", "synthetic": None}, {"dataset": "raid", "synthetic": True}):
        synthetic = pd.DataFrame([row | elsewhere])
        assert set(sota.three_ways("raid", "rank1", TABLE_4, published, synthetic).way) == {sota.PRINTED}
    partial = sota.measured([write_run(tmp_path, np.full(60, 0.5), dataset="partial_ilids")])
    assert partial.dataset.tolist() == ["synthetic-partial_ilids"]
    ways = sota.three_ways("partial_ilids", "rank1", TABLE_4, published, partial).way
    assert set(ways) == {sota.PRINTED, sota.OWN}
    precision = sota.three_ways("market1501", "mAP", TABLE_4, published, results)
    assert sota.PRINTED not in set(precision.way)
    assert set(sota.three_ways("raid", "rank1", TABLE_4, published, results).way) == {sota.PRINTED}


def test_table_4_is_compared_with_the_methods_own_papers():
    gone = np.nan
    sides = pd.DataFrame(
        {sota.PRINTED: [0.8, 0.7, 0.6, 0.9, 0.5], sota.OWN: [0.9, 0.95, 0.7, gone, gone]},
        index=["PCB", "MGN", "HCT", "GAAP", "HAN"],
    )
    far, above = sota.against_own_papers(sides)
    assert "below the method's own paper for 3 of 3 methods, by 0.100 to 0.250; " in far
    assert "orders is 0.50 " in far
    assert above.startswith("GAAP's 0.900 is above 3 of these 3 by the numbers in Table IV, and above 1 by those")


def test_results_in_short_have_photographs_first_and_no_empty_interval():
    row = dict.fromkeys(sota.RESULTS) | {"mAP": 0.3, "mAP_low": 0.2, "mAP_high": 0.4, "rank1": 0.5, "ap": "step"}
    rows = [
        row | {"method": "a", "dataset": "synthetic-raid", "synthetic": True, "height": 128, "width": 64},
        row | {"method": "b", "dataset": "cuhk03", "synthetic": False, "mAP": None},
        row | {"method": "c", "dataset": "cuhk03", "synthetic": False, "source": "3 runs"},
    ]
    table = sota.in_short(pd.DataFrame(rows))
    assert table.index.tolist() == [("cuhk03", "c"), ("cuhk03", "b"), ("synthetic-raid", "a")]
    assert table["rank-1"].tolist() == ["0.500"] * 3
    assert table.mAP.tolist() == ["0.300 [0.200, 0.400]", "", "0.300 [0.200, 0.400]"]
    assert table["size"].tolist() == ["size unknown", "size unknown", "128 x 64"]
    assert table["mean of"].tolist() == ["3 runs", "", ""]


def test_only_runs_on_all_training_images_compare_with_published_results(tmp_path):
    whole = write_run(tmp_path, np.full(60, 0.5), training_images="all")
    part = write_run(tmp_path, np.full(60, 0.5), training_images="split")
    assert sota.comparable([whole, part]) == [whole]
    assert sota.measured([whole, part]).source.tolist() == [whole.folder.name]


def test_partial_ilids_stands_beside_what_another_source_lists(tmp_path):
    published = audit.read("published_methods")
    run = write_run(tmp_path, np.full(60, 0.5), dataset="partial_ilids")
    other = write_run(tmp_path, np.full(60, 0.5), dataset="partial_ilids", train_dataset="raid")
    table = sota.on_partial_ilids([run, other], published)
    ours, *listed = table.index
    assert listed == ["DSR", "VPM", "FPR", "PGFA", "HOReID"]
    hits = run.per_query["first_hit"]
    assert table.loc[ours, "rank-3"].startswith(f"{(hits <= 3).mean():.3f} [")
    assert table.loc[ours, ["images", "source"]].tolist() == ["synthetic", "measured here"]
    assert table.loc["HOReID", ["rank-1", "rank-3"]].tolist() == ["0.726", "0.864"]
    assert table.loc["FPR", "rank-3"] == ""
    assert table.source[1:].str.startswith("another source: ").all()


def test_own_results_are_checked(tmp_path):
    assert sota.own_results().columns.tolist() == sota.RESULTS
    path = tmp_path / "mine.csv"
    row = dict.fromkeys(sota.RESULTS) | {"method": "mine", "dataset": "raid", "rank1": 0.9}
    pd.DataFrame([row]).to_csv(path, index=False)
    assert sota.own_results(path).rank1.tolist() == [0.9]
    pd.DataFrame([row, row | {"rank1": 94.5}]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"mine\.csv, line 3: rank1 is 94\.5; expected a fraction"):
        sota.own_results(path)
    pd.DataFrame([row | {"dataset": None}]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"mine\.csv, line 2: method or dataset is empty"):
        sota.own_results(path)
    path.write_text("method,dataset\n")
    with pytest.raises(ValueError, match="lacks the column rank1, rank1_low"):
        sota.own_results(path)


def test_few_data_sets_give_a_sentence_and_no_test():
    found = sota.compare_methods(audit.methods_by_column(TABLE_4).xs("CMC", axis=1, level="metric") / 1000)
    assert "p-value below 0.125" in found.sentence
    assert found.pairs.empty
    assert found.ranks.index[0] in ("HOReID", "GAAP")
    assert "at least 3 methods" in sota.compare_methods(pd.DataFrame(np.eye(2, 9))).sentence
    assert sota.compare_methods(pd.DataFrame(columns=["one"], dtype=float)).pairs.empty


def test_methods_that_differ_on_every_data_set_are_told_apart():
    rng = np.random.default_rng(0)
    base = rng.random(12)
    scores = pd.DataFrame({"best": base + 0.3, "good": base + 0.1, "same": base + 0.1 + rng.normal(0, 1e-3, 12)}).T
    found = sota.compare_methods(scores)
    p = {frozenset((row.one, row.two)): row.p for row in found.pairs.itertuples()}
    assert found.ranks["best"] == 1
    assert p[frozenset(("best", "good"))] < 0.05
    assert p[frozenset(("good", "same"))] > 0.05
    assert "2 of 3 pairs differ" in found.sentence
    gone = scores.copy()
    gone.loc["good", 3] = np.nan
    assert "2 methods" in sota.compare_methods(gone).sentence


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_the_oracle(p_values):
    assert sota._holm(p_values) == pytest.approx(oracle.holm(p_values))
