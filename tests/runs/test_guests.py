import numpy as np
import pandas as pd
import pytest
from made_runs import finish

from gaaplib import experiment, runs
from gaaplib.config import RunConfig
from gaaplib.evaluation.embedding_files import Side
from gaaplib.paper import sota
from gaaplib.runs import guests


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """The run of the colour histogram, its images, and the embeddings of both sides."""
    outputs = tmp_path_factory.mktemp("outputs")
    run = experiment.run(RunConfig("smoke").baseline(), outputs=outputs)
    data = runs.load_data(run.config, outputs=outputs)
    model = run.model()
    sides = [
        np.asarray(model.predict_on_batch(data.store.images[data.part(role).row.to_numpy()])["embedding"])
        for role in ("query", "gallery")
    ]
    return run, data, *sides


def test_the_same_embeddings_have_the_same_scores_and_no_difference(beside):
    run, data, query, gallery = beside
    guest = guests.scored("the same", run, data, query, gallery)
    assert np.allclose(guest.scores.ap[guest.scores.valid], run.per_query["ap"][run.per_query["valid"]])
    for title in ("mAP", "CMC(1)"):
        assert guest.difference(title).estimate == pytest.approx(0.0)
        assert str(guest.interval(title)) == str(runs.interval(run, "retrieval", title))


def test_a_method_that_knows_the_identities_is_ahead_of_the_run(beside):
    run, data, *_ = beside
    known = [np.eye(100)[data.part(role).pid.to_numpy() + 1] for role in ("query", "gallery")]
    guest = guests.scored("oracle", run, data, *known)
    assert guest.scores.mAP == 1.0
    assert guest.difference().estimate == pytest.approx(1.0 - run.metrics["retrieval"]["mAP"])
    beside_run = guest.beside_run()
    assert list(beside_run.index) == ["CMC(1)", "mAP"]
    assert beside_run.loc["mAP", "yours"].startswith("1.000")
    assert beside_run.loc["mAP", "difference"] == guest.difference().estimate
    row = sota.row_of(guest)
    assert list(row) == sota.RESULTS
    assert (row["method"], row["dataset"], row["mAP"], row["synthetic"]) == (
        "oracle",
        "synthetic-market1501",
        1.0,
        True,
    )


def test_other_images_and_a_run_without_scores_are_refused(beside, tmp_path):
    run, data, query, gallery = beside
    other = runs.load_data(RunConfig("smoke", seed=5, scale=0.02), outputs=tmp_path)
    sides = [np.ones((len(other.part(role)), 2)) for role in ("query", "gallery")]
    with pytest.raises(ValueError, match="was scored on other images"):
        guests.scored("other", run, other, *sides)
    failed = runs.begin(RunConfig("smoke", seed=6), tmp_path)
    finish(failed, status="diverged", reason="it did")
    with pytest.raises(ValueError, match="has no retrieval scores to compare with: it is diverged"):
        guests.scored("mine", failed, data, query, gallery)


def test_another_number_of_embeddings_is_refused(beside):
    run, data, query, gallery = beside
    with pytest.raises(ValueError, match=rf"{len(query) - 1} query embeddings for {len(query)} query images"):
        guests.scored("short", run, data, query[1:], gallery)


TABLE = pd.DataFrame({"path": ["a/1.jpg", "a/2.jpg", "b/3.jpg"], "pid": [7, 7, 8]})


def side(pids, names=None, persons=()):
    embeddings = np.arange(len(pids))[:, None] * 1.0
    return Side("q.npz", embeddings, np.array(pids), None, names and np.array(names), dict(persons))


def test_names_bring_embeddings_into_the_order_of_the_images():
    saved = side([8, 7, 9, 7], ["b/3.jpg", "2.jpg", "more.jpg", "a/1.jpg"])
    assert guests.in_order(saved, TABLE).ravel().tolist() == [3, 1, 0]
    assert guests.in_order(side([7, 7, 8]), TABLE).ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (side([7, 8, 7]), "no names and not the identities of the 3 images"),
        (side([7, 7]), "no names and not the identities of the 3 images"),
        (side([7, 7], ["1.jpg", "2.jpg"]), "lacks 1 of 3 images, such as b/3.jpg"),
        (side([7, 7, 8], ["1.jpg", "2.jpg", "2.jpg"]), "2 embeddings named 2.jpg: give longer names"),
        (side([7, 8, 8], ["1.jpg", "2.jpg", "3.jpg"]), "2.jpg has the identity 8, the data set says 7"),
        (side([7, 8, 8], ["1.jpg", "2.jpg", "3.jpg"], {8: "anna"}), "2.jpg has the identity anna, the data set says 7"),
    ],
)
def test_what_does_not_belong_to_the_images_is_named(saved, message):
    with pytest.raises(ValueError, match=f"q.npz.*{message}"):
        guests.in_order(saved, TABLE)
