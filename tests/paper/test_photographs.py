"""The sentences about photographs, on runs with made-up scores."""

import numpy as np
import pytest
from made_runs import finish, write_run

from gaaplib.paper import committed, photographs, plan

AP = np.linspace(0.2, 0.8, 40)
PIDS = np.repeat(np.arange(20), 2)


def made(outputs, config, gain):
    """A finished run of this configuration whose AP is higher by this; its closed protocol is half right."""
    settings = {name: value for name, value in config.to_dict().items() if name != "ap"}
    run = write_run(outputs, AP + gain, pid=PIDS, **settings)
    assert run.folder.name == config.run_id
    np.savez(run.folder / "per_image.npz", rank=np.tile([1, 2], 20), pid=PIDS, row=np.arange(40))
    chance = {"mRA": 0.05, "mAP": 0.1, "cmc1": 0.05, "cmc5": 0.2}
    finish(
        run, retrieval=run.metrics["retrieval"] | {"num_valid_queries": 40}, closed={"chance": chance, "num_images": 40}
    )


@pytest.fixture
def block(tmp_path):
    for config in committed.photographs().block():
        if config.seed < 2:
            made(tmp_path, config, (0.05 + 0.02 * config.seed) * (config.attention == "class"))
    return tmp_path


def test_without_runs_nothing_is_made_up(tmp_path):
    for sentences in (photographs.block(tmp_path), photographs.depth(tmp_path), photographs.pooling(tmp_path)):
        assert sentences and all("not run (0 of" in sentence.replace("\n  ", " ") for sentence in sentences)
    assert len(photographs.depth(tmp_path)) == 12  # two steps, two measures, no block and the block with two starts
    assert photographs.ranking(tmp_path).endswith("none yet; 17 not run")
    assert photographs.triplet(tmp_path)[0].startswith("CUHK03 (photographs, not the paper's), retrieval mAP: method")
    assert all("class minus none: not run (0" in " ".join(each.split()) for each in photographs.across(tmp_path))


def test_several_pairs_have_their_mean_and_say_how_many_there_are(block):
    closed, retrieval, whole, largest = (sentence.replace("\n  ", " ") for sentence in photographs.block(block))
    assert largest.endswith("attention class minus none with pooling=max: not run (0 of 1 pairs)")
    assert closed.endswith(
        "attention class minus none: +0.000 [+0.000, +0.000], no clear difference (mean of 2 of 3 pairs)"
    )
    assert "retrieval mAP: attention class minus none: +0.060 [-0.067, +0.187], no clear difference" in retrieval


def test_what_was_left_out_is_named(block):
    table = photographs.left_out(block)
    assert tuple(table.loc["the block: on and off, both protocols"]) == (
        12,
        8,
        "attention=none (2 runs); as usual (2 runs)",
    )
    assert table.planned.sum() == len({run_id for runs in committed.everything().values() for run_id in runs})
    depth = table.loc["depth: ResNet-18, -34 and -50", "not made"].split("; ")
    assert "backbone=resnet50 attention=none" in depth and "backbone=resnet34" in depth
    across = table.loc["from CUHK03 to other images, and back", "not made"]
    assert "on=pku (3 runs)" in across and "on=synthetic-market1501 attention=none (3 runs)" in across


def test_one_pair_has_the_interval_over_identities(tmp_path):
    for config in committed.photographs().poolings():
        if (config.attention, config.pool_over) == ("none", "positions") and config.pooling != "gem":
            made(tmp_path, config, 0.1 * (config.pooling == "avg"))
    sentences = [sentence.replace("\n  ", " ") for sentence in photographs.pooling(tmp_path)]
    (gained,) = (one for one in sentences if "mAP: pooling avg minus max with attention=none" in one)
    assert gained.endswith("+0.100 [+0.100, +0.100], gain (1 of 1 pairs)")
    assert sum("not run" in sentence for sentence in sentences) == len(sentences) - 2


def test_methods_are_in_the_order_of_their_scores(tmp_path):
    gains = {"histogram": -0.1, "triplet": 0.1, "gaap": 0.0, "bot": 0.15, "agw": 0.2}
    for config in committed.photographs().table_4():
        if config.method in gains and (config.seed < 2 or config.method == "bot"):
            seeds = 0.01 * config.seed * (config.method == "agw")
            made(tmp_path, config, gains[config.method] + 0.02 * (config.attention == "class") + seeds)
    words = photographs.ranking(tmp_path).replace("\n  ", " ")
    places = [words.index(name) for name in ("agw 0", "bot 0", "triplet 0", "gaap 0", "softmax (gaap", "histogram 0")]
    assert places == sorted(places)
    # 0.7 and 0.71, of which half a difference times 12.706 is the interval.
    assert "agw 0.705 [0.641, 0.769] over 2 seeds, bot 0.650 [0.650, 0.650] over 3 seeds" in words
    assert words.endswith("; 11 not run")
    ranks = photographs.ranks(tmp_path)
    # The made-up scores differ by the same in each query, so no resampling changes the order.
    assert ranks.loc[["agw", "bot", "triplet", "gaap"], "rank"].tolist() == [1, 2, 3, 4]
    assert ranks.loc["bot"].tolist() == [2, 2, 2]
    assert photographs.beside_published(tmp_path).loc["agw", ["rank", "own_rank"]].notna().all()


def test_methods_stand_beside_what_is_printed_under_table_4s_names(tmp_path):
    table = photographs.beside_published(tmp_path)
    assert table.value.isna().all() and (table.words == "not run").all()
    # PLF is VPM, TLE is HMBN, and softmax is no method of Table IV.
    assert table.loc[["vpm", "hmbn", "gaap"], "table_4"].tolist() == [0.737, 0.727, 0.873]
    assert table["rank"].isna().all() and table.loc["gaap", "table_4_rank"] == 1
    assert table.loc["pcb", "own"] == 0.923 and table.loc[photographs.SOFTMAX, ["table_4", "own"]].isna().all()


def test_the_ladder_has_a_rung_for_each_trick_beside_the_printed_ones(tmp_path):
    *others, last = committed.photographs().tricks()
    made(tmp_path, last, 0.1)
    table = photographs.ladder(tmp_path)
    assert list(table.index) == list(plan.TRICKS) and len(others) == 6
    assert table["mAP here"].tolist()[:-1] == ["not run"] * 6
    assert table.loc["centre loss", "mAP here"].startswith("0.600 [")
    assert table.loc["BNNeck", ["rank-1 in the README", "mAP in the README"]].tolist() == [0.941, 0.857]


def test_learning_curves_are_of_each_method_once():
    names = [(config.method, config.attention) for config in photographs.methods()]
    assert len(names) == len(set(names)) == 16
    assert {config.seed for config in photographs.methods()} == {0}


def test_the_study_has_three_sentences_or_more(tmp_path):
    first, *others = photographs.front(tmp_path)
    assert "80 of 80 differences are +0.124" in first
    assert len(others) == 5


def test_a_crossing_is_both_means_and_the_difference_of_its_pairs(tmp_path):
    for config in committed.across()[:4]:
        made(tmp_path, config, 0.1 * (config.attention == "class"))
    first, *others = (" ".join(sentence.split()) for sentence in photographs.across(tmp_path))
    assert first == (
        "trained on cuhk03, tested on pku, retrieval mAP: 0.600 with attention class, 0.500 with attention none, "
        "0.100 by chance, class minus none: +0.100 [+0.100, +0.100], gain (mean of 2 of 3 pairs)"
    )
    assert len(others) == 2


def test_each_row_of_table_4_has_a_state(tmp_path):
    made(tmp_path, next(config for config in committed.photographs().table_4() if config.method == "mgn"), 0.1)
    table = photographs.rows_of_table_4(tmp_path)
    states = table["on CUHK03, retrieval mAP"]
    assert len(table) == 18 and table.loc["PLF", "here"] == "vpm" and table.loc["MEB-Net", "here"] == "mebnet"
    assert states["HAN"] == "no source found; stand-in: not run" and states["GML"] == states["HAN"]
    assert states["PGFA"] == "needs keypoints, which CUHK03 does not have"
    assert states["MGN"].startswith("0.600 [") and table.loc["MGN", "minutes of training"] != ""
    assert table.loc["HOReID", "sees"] == "images, keypoints" and table.loc["HCT", "learns from"] == "images alone"
    assert set(states[["BoT", "PCB", "HCT", "GAAP"]]) == {"not run"}


def test_dropout_is_compared_with_and_without(tmp_path):
    plain, without, bot, agw = committed.without_dropout()
    assert (plain.dropout, without.dropout, bot.dropout, agw.dropout) == (0.7, 0.0, 0.0, 0.0)
    made(tmp_path, plain, 0.1)
    made(tmp_path, without, 0.0)
    made(tmp_path, bot, 0.05)
    first, second, third = (words.replace("\n  ", " ") for words in photographs.dropout(tmp_path))
    assert first.endswith("softmax without dropout minus softmax with 0.7: -0.100 [-0.100, -0.100], loss")
    assert second.endswith("bot minus softmax without dropout: +0.050 [+0.050, +0.050], gain")
    assert third.endswith("agw minus softmax without dropout: not run")
