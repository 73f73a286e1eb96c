"""What changes of the block do on photographs, on runs with made-up scores."""

import numpy as np
import pandas as pd
import pytest
from made_runs import leave, write_run

from gaaplib.paper import committed, why

AP, PIDS = np.linspace(0.2, 0.8, 40), np.repeat(np.arange(20), 2)
GAIN = {"none": 0.1, "class": 0.0, "identity": 0.15}


def made(outputs, config):
    """A finished run of this configuration; the higher its AP, the more it has of GAIN."""
    gain = GAIN["identity" if config.attention_start == "identity" else config.attention]
    settings = {name: value for name, value in config.to_dict().items() if name != "ap"}
    assert write_run(outputs, AP + gain, pid=PIDS, **settings).folder.name == config.run_id


@pytest.fixture
def outputs(tmp_path):
    study = committed.photographs()
    for config in [*study.block(), *study.why()]:
        if config.attention_start == "identity" or config in study.block():
            made(tmp_path, config)
    return tmp_path


def test_a_change_stands_beside_no_block_and_beside_the_usual_one(outputs):
    table = why.changes(outputs)
    mean_ap = table["retrieval mAP"]
    assert mean_ap.loc["as usual", "minus no block"].startswith("-0.100") and not mean_ap.iloc[0, 1]
    assert tuple(mean_ap.loc["attention_start=identity"]) == (
        "+0.050 [+0.050, +0.050], gain",
        "+0.150 [+0.150, +0.150], gain",
    )
    assert set(mean_ap.loc["alpha=1.0"]) == set(mean_ap.loc["last_stride=2"]) == {"not run"}


def test_both_runs_have_a_change_that_is_not_of_the_block_alone():
    runs = [run for run in committed.photographs().why() if run.attention == "class"]
    for run in runs:
        without = why._without(run)
        assert (without.attention, without.attention_start, without.alpha) == ("none", "random", 0.5)
        assert (without.last_stride, without.neck, without.sampler) == (run.last_stride, run.neck, run.sampler)
    study = committed.photographs()
    planned = {run.run_id for run in [*study.why(), *study.block()]}
    assert {why._without(run).run_id for run in runs} <= planned


def test_the_start_is_the_mean_over_seeds(outputs, tmp_path_factory):
    no_block, random = (" ".join(sentence.split()) for sentence in why.start(outputs))
    assert no_block.endswith("minus no block: +0.050 [+0.050, +0.050], gain (mean of 3 of 3 pairs)")
    assert random.endswith("minus a random start: +0.150 [+0.150, +0.150], gain (mean of 3 of 3 pairs)")
    nothing = why.start(tmp_path_factory.mktemp("empty"))
    assert all(sentence.endswith("not run (0 of 3 pairs)") for sentence in nothing)


def test_each_network_stands_without_the_block_and_with_both_starts(tmp_path):
    study = committed.twin()
    for config in study.matrix():
        if (config.backbone, config.pooling) == ("resnet50", "avg"):
            leave(config, tmp_path, right=0.75 if config.attention == "none" else 0.5, learnt=0.9)
    table = why.deeper(study, ("resnet50",), tmp_path)
    rows = ["no block", "starts at random", "starts as the identity"]
    assert list(table.index) == [("resnet50", row) for row in rows]
    assert list(table["retrieval mAP, minus no block"]) == ["", "-0.250 [-0.450, -0.100], loss", "not run"]
    assert [words[:5] for words in table["retrieval mAP"]] == ["0.750", "0.500", "not r"]
    assert list(table["training accuracy"]) == ["0.900", "0.900", ""]
    every = why.deeper(study, outputs=tmp_path)
    assert list(every.index) == [(name, row) for name in study.backbones for row in rows]
    pd.testing.assert_frame_equal(every.loc[["resnet50"]], table)
