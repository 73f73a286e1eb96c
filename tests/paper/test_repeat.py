import json

import numpy as np
import pytest
from made_runs import AP, finish, scored, with_history

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.paper import repeat


def pair(tmp_path, **repeated):
    return scored(tmp_path / "one"), scored(tmp_path / "two", **repeated)


def verdicts(table):
    return dict(zip(table.value, table.verdict, strict=True))


def test_a_run_agrees_with_itself_in_every_value(tmp_path):
    run = with_history(scored(tmp_path), loss=(2.0, float("nan")))
    table = repeat.compare(run, run)
    assert set(table.verdict) == {repeat.EQUAL}
    names = {"status", "data fingerprint", "retrieval mAP", "retrieval chance cmc1", "epoch 1 loss", "per_query ap"}
    assert names <= set(table.value)


@pytest.mark.parametrize(
    ("mAP", "expected"), [(0.5, repeat.EQUAL), (0.51, repeat.AGREES), (0.9, repeat.DIFFERENT), (None, repeat.DIFFERENT)]
)
def test_a_score_is_judged_by_the_half_width_of_its_interval(tmp_path, mAP, expected):
    one, two = pair(tmp_path, mAP=mAP)
    assert verdicts(repeat.compare(one, two))["retrieval mAP"] == expected


def test_the_tolerance_is_the_half_width_and_at_least_three_images(tmp_path):
    one, two = pair(tmp_path)
    found, interval = repeat.tolerances(one, two), runs.interval(one, "retrieval", "mAP")
    assert found["retrieval mAP"] == (interval.high - interval.low) / 2
    # Every first rank is a match, so the interval has no width.
    assert found["retrieval cmc1"] == 3 / len(AP)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"data": {"fingerprint": "other", "undecodable": 0, "as_published": True}}, "data fingerprint"),
        ({"counts": {"query": {"images": 5}}}, "counts query images"),
        ({"status": "diverged", "reason": "nan", "retrieval": None}, "status"),
        ({"status": "diverged", "reason": "nan", "retrieval": None}, "retrieval mAP"),
    ],
)
def test_what_does_not_depend_on_rounding_has_to_be_equal(tmp_path, change, value):
    one, two = pair(tmp_path)
    kept = two.metrics["retrieval"]
    finish(two, **{"retrieval": kept, **change})
    table = repeat.compare(one, two)
    assert verdicts(table)[value] == repeat.DIFFERENT
    assert ", 0 different" not in repeat.in_words(table)


def test_other_queries_are_different(tmp_path):
    one, two = pair(tmp_path)
    arrays = two.per_query
    np.savez(two.folder / "per_query.npz", **{**arrays, "pid": arrays["pid"] + 1, "ap": arrays["ap"] / 2})
    found = verdicts(repeat.compare(one, two))
    assert found["per_query pid"] == repeat.DIFFERENT
    assert found["per_query ap"] == repeat.SHOWN


@pytest.mark.parametrize(
    ("repeated", "value", "expected"),
    [
        ({"loss": (9.0, 1.0)}, "epoch 1 loss", repeat.SHOWN),
        ({"loss": (2.0, 1.04)}, "epoch 2 loss", repeat.AGREES),
        ({"loss": (2.0, 1.06)}, "epoch 2 loss", repeat.DIFFERENT),
        ({"val_accuracy": (0.9, 0.58)}, "epoch 2 val_accuracy", repeat.AGREES),
        ({"val_accuracy": (0.1, 0.61)}, "epoch 2 val_accuracy", repeat.DIFFERENT),
        ({"learning_rate": (0.1, 0.02)}, "epoch 2 learning_rate", repeat.DIFFERENT),
        ({"seconds": (7, 8)}, "epoch 2 seconds", repeat.SHOWN),
    ],
)
def test_the_last_epoch_is_judged(tmp_path, repeated, value, expected):
    history = {"loss": (2.0, 1.0), "val_accuracy": (0.1, 0.5), "learning_rate": (0.1, 0.01), "seconds": (1, 2)}
    one, two = pair(tmp_path)
    with_history(one, **history)
    with_history(two, **{**history, **repeated})
    assert verdicts(repeat.compare(one, two))[value] == expected


def test_an_epoch_that_is_missing_is_different(tmp_path):
    one, two = pair(tmp_path)
    (two.folder / "history.csv").write_text("epoch,loss,val_accuracy,seconds\n1,2.0,0.1,1\n")
    assert verdicts(repeat.compare(one, two))["epoch 2 loss"] == repeat.DIFFERENT


def test_other_code_and_versions_are_listed_but_not_judged(tmp_path):
    one, two = pair(tmp_path)
    metrics = one.metrics
    metrics["provenance"]["commit"] = "0123abc"
    metrics["provenance"]["versions"]["keras"] = "2.0"
    (one.folder / "metrics.json").write_text(json.dumps(metrics))
    table = repeat.compare(one, two)
    assert repeat.DIFFERENT not in set(table.verdict)
    words = repeat.in_words(table)
    assert "commit differs: 0123abc, now" in words and "versions keras differs: 2.0, now" in words
    assert "finished" not in words and "seconds" not in words


def test_a_configuration_that_means_something_else_today_is_refused(tmp_path):
    run = scored(tmp_path)
    moved = run.folder.rename(run.folder.with_name(run.folder.name[:-8] + "00000000"))
    with pytest.raises(ValueError, match="describes .* today"):
        repeat.repeat(runs.Run(moved), tmp_path / "again")


def test_a_smoke_run_comes_out_as_it_did(tmp_path, without_graphs):
    from gaaplib import experiment

    config = RunConfig("smoke", epochs=2)
    committed = experiment.run(config, outputs=tmp_path / "first")
    # Reference runs are committed without these files.
    for name in ("model.keras", "per_image.npz"):
        (committed.folder / name).unlink()
    table = repeat.repeat(committed, tmp_path / "second")
    assert set(table[~table.value.str.startswith("provenance")].verdict) <= {repeat.EQUAL, repeat.SHOWN}
    assert verdicts(table)["epoch 2 loss"] == repeat.EQUAL and verdicts(table)["closed mRA"] == repeat.EQUAL
