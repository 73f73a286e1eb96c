import pandas as pd
import pytest
from made_runs import finish

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.paper import learning_curves
from gaaplib.runs import provenance

CONFIGS = {
    f"{method} {word} attention": RunConfig("smoke", method=method, attention=attention)
    for method in ("gaap", "triplet")
    for word, attention in (("without", "none"), ("with", "class"))
}


def write(outputs, name, val_accuracy, seconds, status="done", prefix=""):
    """A finished run with these validation accuracies after these seconds."""
    run = runs.begin(CONFIGS[name], outputs)
    history = pd.DataFrame({"epoch": range(1, len(seconds) + 1), f"{prefix}accuracy": 0.9, "loss": 3.0})
    history[f"val_{prefix}accuracy"], history["seconds"] = val_accuracy, seconds
    if prefix:
        history["pooled_loss"], history["val_pooled_loss"] = 0.5, 0.25
    history.to_csv(run.folder / "history.csv", index=False)
    finish(run, status=status, counts={"train": {"identities": 4}})


@pytest.fixture
def outputs(tmp_path):
    """Three runs of four; the run with slower epochs needs fewer of them."""
    write(tmp_path, "gaap without attention", [0.3, 0.6], [20.0, 30.0])
    write(tmp_path, "gaap with attention", [0.1, 0.3, 0.2], [5.0, 10.0, 15.0])
    write(tmp_path, "triplet without attention", [0.1], [7.0], "diverged", "logits_")
    return tmp_path


@pytest.fixture
def found(outputs):
    return learning_curves.curves(CONFIGS.values(), outputs)


def test_curves_are_of_what_the_network_learns_from(found):
    by_name = {name: rows for name, rows in found.groupby("name", sort=False)}
    assert list(by_name) == list(CONFIGS)
    assert [len(rows) for rows in by_name.values()] == [2, 3, 1, 1]
    probe = by_name["triplet without attention"].iloc[0]
    assert (probe.loss, probe.val_loss, probe.accuracy, probe.val_accuracy) == (0.5, 0.25, 0.9, 0.1)
    assert (probe.status, probe.chance, probe.loss_name) == ("diverged", 0.25, "batch-hard triplet loss")
    absent = by_name["triplet with attention"].iloc[0]
    assert absent.status == "not run"
    assert absent[list(learning_curves.CURVES)].isna().all()
    assert (by_name["gaap with attention"].loss == 3.0).all()


def test_a_level_is_reached_in_the_first_epoch_at_or_above_it(found):
    soon = learning_curves.reached(found, levels=(0.3,)).set_index("name")
    assert soon.epoch["gaap without attention"] == 1
    assert soon.epoch["gaap with attention"] == 2
    assert soon.words.to_list() == ["epoch 1, 20 s", "epoch 2, 10 s", "diverged", "not run"]


def sentences(soon):
    """Each sentence on one line."""
    return [" ".join(sentence.split()) for sentence in learning_curves.in_order(soon)]


def test_sentences_order_by_epochs_and_name_missing_runs(found):
    first, second, third = sentences(learning_curves.reached(found, levels=(0.3, 0.5, 0.9)))
    assert first == (
        "validation accuracy 0.3: first gaap without attention (epoch 1, 20 s), then gaap with attention; "
        "diverged: triplet without attention; not run: triplet with attention"
    )
    assert second.startswith("validation accuracy 0.5: first gaap without attention (epoch 2, 30 s); not reached: gaap")
    assert third.startswith(
        "validation accuracy 0.9: reached by no run; not reached: gaap without attention, gaap with attention"
    )


def test_the_summary_tells_epochs_seconds_and_the_best(found):
    rows = learning_curves.summary(found)
    assert rows.loc["gaap with attention"].to_dict() == {
        "status": "done",
        "epochs": "3",
        "seconds": "15",
        "seconds per epoch": "5.0 (5.0 to 5.0)",
        "training accuracy, last": "0.900",
        "validation accuracy, best": "0.300 (epoch 2)",
    }
    assert rows.loc["triplet with attention"].to_list() == ["not run", "", "", "", "", ""]


def test_without_any_run_nothing_is_invented(tmp_path):
    found = learning_curves.curves(CONFIGS.values(), tmp_path)
    assert sentences(learning_curves.reached(found, levels=(0.5,))) == [
        f"validation accuracy 0.5: reached by no run; not run: {', '.join(CONFIGS)}"
    ]
    assert learning_curves.summary(found).status.to_list() == ["not run"] * 4
    assert learning_curves.machines(CONFIGS.values(), tmp_path) == "no run is finished, so no seconds were measured"


def test_seconds_come_with_their_processor(outputs):
    sentence = learning_curves.machines(list(CONFIGS.values()), outputs)
    assert sentence.startswith("seconds measured in 3 of 4 runs on ")
    assert provenance.origin()["processor"] in sentence


@pytest.mark.parametrize(("synthetic", "word"), [(True, "synthetic"), (False, "photographs")])
def test_the_caption_names_the_kind_of_images(found, synthetic, word):
    found = found.assign(synthetic=synthetic, as_published=True)
    assert word in learning_curves.caption(found)
    other = learning_curves.caption(found.assign(as_published=False))
    assert other.endswith("photographs (not the published market1501)") != synthetic
