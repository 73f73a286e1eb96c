"""The card of a run, for runs with made-up scores."""

import numpy as np
from made_runs import finish, write_run

from gaaplib.runs import card

PEOPLE = np.repeat(np.arange(20), 2)
COUNTS = {
    "train": {"images": 70, "identities": 10, "cameras": 6},
    "query": {"images": 40, "identities": 20, "cameras": 6},
}


def written(run):
    card.write(run)
    return (run.folder / "README.md").read_text()


def made(outputs, **changes):
    """A run that has learnt, with counts."""
    run = write_run(outputs, np.linspace(0.2, 0.8, 40), pid=PEOPLE, **changes)
    finish(run, retrieval=run.metrics["retrieval"], counts=COUNTS, train_accuracy=0.987)
    return run


def test_a_card_says_what_the_run_is_and_how_good(tmp_path):
    run = made(tmp_path)
    text = written(run)
    assert text.startswith(
        f"# {run.folder.name}\n\nThe method gaap on a resnet18 (attention class, pooling avg), trained"
    )
    assert "from scratch on 70 images of 10 people" in text and "| train | 70 | 10 | 6 |" in text
    assert "| retrieval | mAP | 0.500 [0.4" in text and text.count("| 0.100 |") == 2
    assert "98.7% of its training images" in text and "seed 0 and fold 0" in text
    assert "Synthetic images say nothing about photographs" in text
    # The loading code of the unfinished run's README is still there, once.
    assert text.count("```python") == 1 and text.count("keras.models.load_model") == 1


def test_a_card_of_photographs_names_no_licence_that_it_does_not_know(tmp_path):
    text = written(made(tmp_path, data="somewhere"))
    assert "does not know the licence" in text and "ynthetic" not in text


def test_a_run_without_scores_says_why(tmp_path):
    run = made(tmp_path)
    finish(run, status="diverged", reason="loss is nan in epoch 1", retrieval=None)
    assert "None: the run diverged (loss is nan in epoch 1)." in written(run)


def test_a_model_that_was_trained_elsewhere_says_where(tmp_path):
    run = write_run(tmp_path, np.linspace(0, 1, 40), pid=PEOPLE, train_dataset="raid", train_data="synthetic")
    assert "with weights that were trained from scratch on raid" in written(run)
    baseline = write_run(tmp_path, np.linspace(0, 1, 40), pid=PEOPLE, method="histogram")
    assert "A colour histogram, which is not trained" in written(baseline)
