import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_checks import gradient
from oracles import losses as oracle

from gaaplib.network.losses import (
    LOSSES,
    BatchHardTriplet,
    Circle,
    CrossEntropy,
    Mean,
    WeightedTriplet,
    euclidean_distances,
    hardest_pairs,
)


def value_of(loss, labels, predictions):
    return float(keras.ops.convert_to_numpy(loss(labels, predictions)))


@pytest.mark.parametrize("margin", [0.3, 0.0, "soft"])
@pytest.mark.parametrize(
    ("labels", "embeddings"),
    [
        (np.arange(16), np.random.default_rng(1).normal(size=(16, 8))),
        (np.zeros(16), np.random.default_rng(1).normal(size=(16, 8))),
        (np.arange(16) // 4, np.ones((16, 8))),
        (np.arange(16) // 4, np.zeros((16, 8))),
        (1000 * (np.arange(16) // 2) + 2**20, np.random.default_rng(1).normal(size=(16, 8))),
        (np.arange(16) // 4, np.eye(16)),
        (np.arange(16) // 4, 1e12 * np.random.default_rng(1).normal(size=(16, 8))),
        (np.array([7]), np.ones((1, 8))),
    ],
    ids=[
        "single images",
        "one identity",
        "equal",
        "zeros",
        "large labels",
        "equal distances",
        "far apart",
        "one image",
    ],
)
def test_the_triplet_gradient_is_finite(labels, embeddings, margin):
    loss = BatchHardTriplet(margin=margin)
    labels, embeddings = labels.astype("int32"), embeddings.astype("float32")
    assert np.isfinite(value_of(loss, labels, embeddings))
    assert np.isfinite(gradient(lambda p: loss(labels, p), embeddings)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_entry_survives_its_configuration_and_has_a_finite_gradient(name):
    loss = LOSSES[name]()
    clone = type(loss).from_config(loss.get_config())
    labels = np.array([0, 0, 1, 1, 2], "int32")
    # Two equal rows: at distance 0 the gradient of a plain square root is NaN.
    predictions = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    predictions[1] = predictions[0]
    assert value_of(loss, labels, predictions) == value_of(clone, labels, predictions)
    assert value_of(loss, labels[:, None], predictions) == value_of(loss, labels, predictions)
    slope = gradient(lambda p: loss(labels, p), predictions)
    assert np.isfinite(slope).all()
    assert np.abs(slope).sum() > 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_equals_the_oracle(smoothing):
    rng = np.random.default_rng(1)
    labels, logits = rng.integers(0, 4, 6), rng.normal(size=(6, 4)).astype("float32")
    expected = oracle.cross_entropy(labels, logits, smoothing)
    assert value_of(CrossEntropy(smoothing), labels, logits) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=2, max_size=8), st.sampled_from([0.0, 0.3, "soft"]))
def test_triplet_equals_the_oracle(seed, labels, margin):
    embeddings = np.random.default_rng(seed).normal(size=(len(labels), 4)).astype("float32")
    expected = oracle.batch_hard_triplet(labels, embeddings, margin)
    found = value_of(BatchHardTriplet(margin), np.array(labels), embeddings)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_cross_entropy_of_parts_is_their_mean():
    rng = np.random.default_rng(1)
    labels, logits = rng.integers(0, 4, 6), rng.normal(size=(6, 3, 4)).astype("float32")
    expected = [oracle.cross_entropy(labels, logits[:, part], 0.1) for part in range(3)]
    assert value_of(CrossEntropy(0.1), labels, logits) == pytest.approx(np.mean(expected), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=2, max_size=8), st.sampled_from([0.3, "soft"]))
def test_other_triplets_equal_the_oracle(seed, labels, margin):
    embeddings = np.random.default_rng(seed).normal(size=(len(labels), 4)).astype("float32")
    for distance, both_sides in (("cosine", False), ("euclidean", True), ("cosine", True)):
        expected = oracle.batch_hard_triplet(labels, embeddings, margin, distance, both_sides)
        found = value_of(BatchHardTriplet(margin, distance, both_sides), np.array(labels), embeddings)
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=2, max_size=8))
def test_losses_of_all_pairs_equal_their_oracles(seed, labels):
    embeddings = np.random.default_rng(seed).normal(size=(len(labels), 4)).astype("float32")
    found = value_of(WeightedTriplet(), np.array(labels), embeddings)
    assert found == pytest.approx(oracle.weighted_triplet(labels, embeddings), rel=1e-3, abs=1e-4)
    found = value_of(Circle(0.3, 8.0), np.array(labels), embeddings)
    assert found == pytest.approx(oracle.circle(labels, embeddings, 0.3, 8.0), rel=1e-3, abs=1e-4)


def test_a_margin_makes_the_weighted_triplet_a_hinge():
    """Of two anchors; the third has no positive. Positive means 0.5, negative means 0.6 and 0.1."""
    labels, embeddings = np.array([1, 1, 2]), np.array([[0.0], [0.5], [0.6]])
    assert value_of(WeightedTriplet(0.3), labels, embeddings) == pytest.approx((0.2 + 0.7) / 2, abs=1e-5)
    assert value_of(WeightedTriplet(0.0), labels, embeddings) == pytest.approx(0.4 / 2, abs=1e-5)


def test_losses_of_all_pairs_stay_finite_far_from_the_optimum():
    labels = np.arange(16) // 4
    for scale in (1e-6, 1.0, 1e4):
        embeddings = scale * np.random.default_rng(1).normal(size=(16, 8)).astype("float32")
        for loss in (WeightedTriplet(), Circle()):
            assert np.isfinite(value_of(loss, labels, embeddings))
            assert np.isfinite(gradient(lambda p, loss=loss: loss(labels, p), embeddings)).all()


def test_circle_pulls_more_on_what_is_farther_from_its_optimum():
    labels = np.array([0, 0, 1])

    def pull(angle):
        embeddings = np.array([[1, 0], [np.cos(angle), np.sin(angle)], [-1, 0]], "float32")
        return np.abs(gradient(lambda p: Circle(0.25, 1.0)(labels, p), embeddings)[1]).max()

    assert pull(1.2) > pull(0.6) > pull(0.1)


def test_mean_is_the_mean_of_what_the_layer_gave():
    assert value_of(Mean(), np.array([3, 4]), np.array([1.0, 2.0], "float32")) == 1.5


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="margin=2.0, scale=128.0"):
        Circle(2.0)
    with pytest.raises(ValueError, match="margin=0.25, scale=0"):
        Circle(scale=0)
    with pytest.raises(ValueError, match="label_smoothing=1.0"):
        CrossEntropy(1.0)
    with pytest.raises(ValueError, match="margin='hard'"):
        BatchHardTriplet("hard")


def places(labels, distances):
    pairs = hardest_pairs(np.array(labels, "int32"), keras.ops.convert_to_tensor(np.array(distances, "float32")))
    return [keras.ops.convert_to_numpy(part).tolist() for part in (pairs.positive_at, pairs.negative_at)]


def test_the_hardest_positive_is_of_the_own_identity_even_if_it_is_equal():
    """Not the first image of the batch. Distances of equal images are 0, or below by rounding if they are 1 - cos."""
    for equal in (0.0, -1e-7):
        distances = np.where(np.arange(4)[:, None] // 2 == np.arange(4) // 2, equal, 0.5)
        assert places([0, 0, 1, 1], distances)[0] == [1, 0, 3, 2]


def test_the_hardest_negative_is_of_another_identity_however_far_it_is():
    distances = 3e8 * (1.0 - np.eye(4))
    assert places([0, 0, 1, 1], distances)[1] == [2, 2, 0, 0]


def test_equal_images_of_a_person_take_the_nearest_negative_of_both_sides():
    embeddings = keras.ops.convert_to_tensor(np.array([[0.0], [5.0], [5.0]], "float32"))
    distances = euclidean_distances(embeddings)
    assert places([1, 2, 2], distances)[0][1:] == [2, 1]
    loss = value_of(BatchHardTriplet(1.0, both_sides=True), np.array([1, 2, 2]), embeddings)
    # Both images are 5 from the negative: max(0, 0 - 5 + 1).
    assert loss == 0.0
