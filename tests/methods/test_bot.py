import numpy as np
import pytest
from made_methods import LABELS, batch_of, make, predict

from gaaplib.network.losses import Circle


def test_bot_adds_a_triplet_and_a_centre_loss_to_softmax():
    method = make(method="bot")
    assert {name: weight for name, (_, weight) in method.losses.items()} == {
        "logits": 1.0,
        "pooled": 1.0,
        "centre": 5e-4,
    }
    assert set(make(method="bot", options="centre=0").losses) == {"logits", "pooled"}
    assert method.config.neck == "bnneck" and method.config.attention == "none"
    assert float(np.std(method._classifier.kernel)) == pytest.approx(1e-3, rel=0.1)
    with pytest.raises(ValueError, match="sampler='shuffled'"):
        make(method="bot", sampler="shuffled")


def test_the_circle_loss_can_take_the_place_of_the_triplet_loss():
    assert isinstance(make(method="bot", options="metric=circle").losses["pooled"][0], Circle)
    with pytest.raises(ValueError, match="metric='x' is not known; known: triplet, circle"):
        make(method="bot", options="metric=x")


@pytest.mark.parametrize("kind", ["arc", "cos"])
def test_an_angular_margin_counts_in_training_alone(kind):
    method = make(method="bot", options=f"classifier={kind}")
    inputs = batch_of(method)
    plain = np.asarray(method.training_model(inputs, training=False)["logits"])
    np.testing.assert_allclose(plain, predict(method)["logits"], rtol=1e-3, atol=1e-3)
    own = np.arange(8), LABELS
    marked = np.asarray(method._classifier(predict(method)["embedding"], LABELS, training=True))
    assert (marked[own] < plain[own]).all()
    with pytest.raises(ValueError, match="classifier='x' is not known; known: linear, arc, cos"):
        make(method="bot", options="classifier=x")


def test_the_centres_are_no_part_of_the_saved_model():
    method = make(method="bot")
    assert any("centres" in weight.path for weight in method.training_model.weights)
    assert not any("centres" in weight.path for weight in method.model.weights)


def test_centres_move_in_training_and_not_in_validation():
    method = make(method="bot")
    inputs = batch_of(method)
    before = np.asarray(method._centres.centres)
    method.training_model(inputs, training=False)
    np.testing.assert_array_equal(method._centres.centres, before)
    pooled = np.asarray(method.training_model(inputs, training=True)["pooled"])
    # Each of the four identities has two of the eight images.
    moved = np.stack([(pooled[label == LABELS] - before[label]).sum(axis=0) / 8 for label in range(4)])
    np.testing.assert_allclose(np.asarray(method._centres.centres) - before, moved, rtol=1e-3, atol=1e-4)
