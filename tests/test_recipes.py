"""What the profiles' recipe learns from a few images of many people, and the first recipe does not."""

import pytest

from gaaplib import experiment
from gaaplib.config import RunConfig
from gaaplib.datasets.synthetic import SyntheticSpec, write

MANY = SyntheticSpec(
    "cuhk03", train_ids=300, train_images=1200, test_ids=100, queries=200, gallery=400, height=64, width=32
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Of both recipes, after as many images: the training accuracy, and mAP on people never seen in training."""
    folder = tmp_path_factory.mktemp("recipes")
    write(folder / "twin", MANY)
    same = {"dataset": "cuhk03", "data": str(folder / "twin"), "training_images": "all", "attention": "none"}
    same |= {"height": 48, "width": 32, "precision": "float32", "epochs": 3}

    def score(profile, **changes):
        run = experiment.run(RunConfig(profile, **same, **changes), outputs=folder)
        return run.history.accuracy.iloc[-1], run.metrics["retrieval"]["mAP"]

    return {"first": score("five_epochs"), "now": score("standard", averaged_epochs=2)}


def test_300_people_are_learnt_from_four_images_each(scores):
    accuracy, mean_ap = scores["now"]
    assert accuracy > 0.03  # 0.003 by chance
    assert mean_ap > 0.14  # 0.019 by chance


def test_the_first_recipe_fails_this(scores):
    accuracy, mean_ap = scores["first"]
    assert accuracy < 0.015
    assert mean_ap < 0.05
