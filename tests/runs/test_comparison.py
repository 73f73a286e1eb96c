import numpy as np
import pytest
from made_runs import finish, write_run

from gaaplib.runs import comparison

BASE = np.linspace(0.1, 0.8, 24)
PIDS = np.repeat(np.arange(12), 2)


def write(outputs, gain=0.0, pid=PIDS, **changes):
    ap = BASE[: len(pid)] + gain
    return write_run(outputs, ap, first_hit=np.where(ap > 0.5, 1, 3), pid=pid, **changes)


@pytest.fixture
def pair(tmp_path):
    return [write(tmp_path, attention="none"), write(tmp_path, 0.05, attention="class")]


def test_two_runs_are_named_by_what_tells_them_apart(pair):
    compared = comparison.of(pair)
    assert list(compared.variants) == ["attention=none", "attention=class"]
    assert compared.baseline == "attention=none"
    assert compared.first_runs() == dict(zip(compared.variants, pair, strict=True))


def test_a_difference_is_paired_and_counted(pair):
    rows = comparison.of(pair).differences().set_index("measure")
    assert rows.interval["mAP"].estimate == pytest.approx(0.05)
    assert rows.interval["mAP"].verdict == "gain"
    assert rows.loc["mAP", ["better", "worse", "equal"]].tolist() == [24, 0, 0]
    # CMC(1) changes for the queries whose AP crosses 0.5.
    better = int(((BASE + 0.05 > 0.5) & (BASE <= 0.5)).sum())
    assert rows.loc["CMC(1)", ["better", "worse", "equal"]].tolist() == [better, 0, 24 - better]


def test_the_front_sentence_has_the_interval_and_the_verdict(pair):
    (words,) = comparison.of(pair).in_words()
    assert words.startswith("attention=class minus attention=none, mAP: +0.050 [+0.050, +0.050], gain (12 identities; ")
    (words,) = comparison.of(pair[::-1]).in_words()
    assert words.startswith("attention=none minus attention=class, mAP: -0.050 [-0.050, -0.050], loss")


def test_with_fewer_than_ten_identities_there_are_counts_and_no_verdict(tmp_path):
    few = PIDS[:18]
    found = [write(tmp_path, pid=few, attention="none"), write(tmp_path, 0.05, pid=few, attention="class")]
    compared = comparison.of(found)
    (words,) = compared.in_words()
    assert "no verdict, because the test has 9 identities and an interval needs at least 10" in words
    assert "at least 10. 18 of 18 queries are ranked better, 0 worse, 0 equally." in words
    assert compared.as_text().verdict.tolist() == ["too few identities"] * 2
    assert compared.as_text().difference.iloc[0] == "+0.050"


def test_folds_are_pooled_so_that_they_have_a_verdict_together(tmp_path):
    found = []
    for attention, gain in (("none", 0), ("class", 0.05)):
        for fold in (0, 1):
            # Six people in each fold, others in each.
            found.append(write(tmp_path, gain, pid=PIDS[:12] + 100 * fold, attention=attention, fold=fold))
    compared = comparison.of(found)
    assert list(compared.variants) == ["attention=none", "attention=class"]
    (interval,) = compared.differences().query("measure == 'mAP'").interval
    assert (interval.num_groups, interval.verdict) == (12, "gain")
    assert len(compared.scores()) == 3


def test_seeds_have_a_mean_with_their_own_interval(tmp_path):
    gains = {0: 0.02, 1: 0.05, 2: 0.08}
    found = [
        write(tmp_path, gain if attention == "class" else 0, attention=attention, seed=seed)
        for attention in ("none", "class")
        for seed, gain in gains.items()
    ]
    compared = comparison.of(found)
    words = compared.as_text().xs("mean of seeds", level="repetition").iloc[0]
    assert words.difference.startswith("+0.050 [-0.025, +0.125]")
    # Each seed alone gains, but three seeds this far apart do not tell.
    assert words.verdict == "no clear difference"
    assert "mean of 3 seeds" in compared.in_words()[0]


def test_only_seeds_that_all_variants_have_are_compared(pair, tmp_path):
    more = write(tmp_path, 0.3, attention="class", seed=7)
    assert comparison.of([*pair, more]).differences().seed.unique().tolist() == [0]
    with pytest.raises(ValueError, match="no seed and fold has a run of each variant"):
        comparison.of([pair[0], more])


def test_a_run_without_scores_is_left_out_and_said(pair, tmp_path):
    bad = write(tmp_path, attention="self")
    finish(bad, status="collapsed", reason="its embeddings are all alike")
    compared = comparison.of([*pair, bad])
    assert list(compared.variants) == ["attention=none", "attention=class"]
    said = "attention=self has no scores to compare: collapsed (its embeddings are all alike)."
    assert compared.in_words()[-1] == said
    assert comparison.of([pair[0], bad]).in_words() == [said]
    with pytest.raises(ValueError, match="no run has scores: attention=none collapsed .too.; attention=self collapsed"):
        finish(pair[0], status="collapsed", reason="too")
        comparison.of([pair[0], bad])


def test_runs_that_cannot_be_compared_are_refused(pair, tmp_path):
    with pytest.raises(ValueError, match="all 2 runs are of one variant"):
        comparison.of([pair[0], write(tmp_path, attention="none", seed=1)])
    with pytest.raises(ValueError, match="were not scored on the same queries"):
        comparison.of([pair[0], write(tmp_path, pid=PIDS + 1, attention="self")])


def test_models_that_differ_in_much_are_named_by_what_they_are(pair, tmp_path):
    settings = {"height": 256, "width": 128, "epochs": 7}
    other = write(tmp_path, attention="none", method="external", weights=str(tmp_path / "mine.onnx"), **settings)
    names = comparison.named([pair[0], other])
    assert names == ["gaap resnet18, attention=none, avg pooling", "mine"]


def test_the_telling_queries_go_from_the_greatest_gain_to_the_greatest_loss(tmp_path):
    change = np.zeros(24)
    change[[3, 17]] = 0.1, -0.1
    found = [write(tmp_path, attention="none"), write(tmp_path, change, attention="class")]
    telling = comparison.of(found).telling(3)
    assert telling["query"].iloc[[0, -1]].tolist() == [3, 17]
    gained = telling["attention=class"] - telling["attention=none"]
    np.testing.assert_allclose(gained, [0.1, 0, -0.1])
