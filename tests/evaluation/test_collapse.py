"""Collapsed embeddings are told from poor ones and from few people."""

import numpy as np
import pytest

from gaaplib.evaluation.collapse import collapsed

RNG = np.random.default_rng(0)
LENGTHS = RNG.uniform(1, 3, (60, 1))
DIRECTION = RNG.normal(size=(1, 32))


def near(direction, noise):
    return LENGTHS * (direction + noise * RNG.normal(size=(60, 32)))


@pytest.mark.parametrize(
    "embeddings",
    [
        np.ones((60, 32)),
        LENGTHS * DIRECTION,
        np.where(np.arange(60)[:, None] % 2, -1, 1) * LENGTHS * DIRECTION,
        near(DIRECTION, 1e-7).astype("float32"),
        np.zeros((60, 32)),
    ],
    ids=["equal", "of other lengths", "of both signs", "equal but for rounding", "zeros"],
)
def test_embeddings_of_one_direction_have_collapsed(embeddings):
    assert collapsed([embeddings], identities=30)
    assert collapsed([embeddings[:2]], identities=1)


def on_a_line(extent):
    return near(
        DIRECTION / np.linalg.norm(DIRECTION) + extent * RNG.uniform(-1, 1, (60, 1)) * RNG.normal(size=32), 1e-4
    )


def test_embeddings_that_differ_in_one_respect_have_collapsed():
    assert "of their variance is along one axis" in collapsed([on_a_line(0.001)], identities=2)
    assert "of their variance is along one axis" in collapsed([on_a_line(0.1)], identities=10)


def test_two_people_may_lie_on_one_line():
    assert collapsed([on_a_line(0.1)], identities=9) is None
    assert collapsed([on_a_line(0.001)[:9]], identities=2) is None


@pytest.mark.parametrize("noise", [1e-3, 1.0])
def test_embeddings_that_differ_in_many_respects_have_not(noise):
    assert collapsed([near(DIRECTION, noise)], identities=30) is None


def test_coarse_numbers_have_coarse_rounding():
    embeddings = near(DIRECTION, 5e-4)
    assert collapsed([embeddings], 30) is None
    assert collapsed([embeddings], 30, "mixed_bfloat16")
    assert collapsed([embeddings], 30, "float16")


def test_one_image_is_not_judged():
    assert collapsed([np.ones((1, 8))], identities=1) is None


def test_many_images_are_sampled_from_first_to_last():
    embeddings = np.ones((5000, 4))
    embeddings[-5:] = [1, -1, 1, -1]
    assert collapsed([embeddings], identities=2) is None


def test_both_sides_are_judged_together():
    one, other = near(DIRECTION, 1e-9), near(-DIRECTION + RNG.normal(size=32), 1e-9)
    assert collapsed([one], 2) and collapsed([other], 2)
    assert collapsed([one, other], 2) is None


def test_lengths_count_if_embeddings_are_compared_by_the_euclidean_distance():
    """Of one direction, a few people may differ in length; many differ in more than one respect."""
    embeddings = LENGTHS * DIRECTION
    assert collapsed([embeddings], identities=9) and collapsed([embeddings], identities=9, metric="euclidean") is None
    words = collapsed([embeddings], identities=30, metric="euclidean")
    assert "deviate from one point by" in words and "100.0% of their variance is along one axis" in words
    assert collapsed([near(DIRECTION, 1.0)], identities=30, metric="euclidean") is None
    assert "which is rounding" in collapsed([np.full((60, 32), 3.0)], identities=2, metric="euclidean")


def test_one_long_embedding_does_not_make_others_alike():
    embeddings = np.concatenate([near(DIRECTION, 1.0), 1e3 * DIRECTION])
    assert collapsed([embeddings], identities=30, metric="euclidean") is None


def test_zeros_do_not_hide_a_collapse_from_the_euclidean_distance():
    embeddings = np.where(np.arange(60)[:, None] % 3, 1.0, 0.0) * np.ones((60, 32))
    assert "along one axis" in collapsed([embeddings], identities=30, metric="euclidean")
    assert collapsed([np.zeros((60, 32))], identities=30, metric="euclidean") == "all embeddings are zeros"
    healthy = np.concatenate([near(DIRECTION, 1.0), np.zeros((2, 32))])
    assert collapsed([healthy], identities=30, metric="euclidean") is None


def test_the_size_of_values_does_not_matter():
    for factor in (1e-200, 1e200):
        assert collapsed([factor * near(DIRECTION, 1.0)], identities=30, metric="euclidean") is None
        assert collapsed([factor * np.ones((60, 32))], identities=30, metric="euclidean")
