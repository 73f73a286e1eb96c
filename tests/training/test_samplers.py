import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib.training.samplers import SAMPLERS

LABELS = st.lists(st.integers(0, 6), min_size=8, max_size=60).map(np.array)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 1000))
def test_shuffled_takes_every_image_at_most_once(labels, seed):
    batches = SAMPLERS["shuffled"](labels, 8, 4, np.random.default_rng(seed))
    assert batches.shape == (len(labels) // 8, 8)
    assert len(np.unique(batches)) == batches.size


def test_shuffled_makes_a_small_batch_of_a_small_data_set():
    assert SAMPLERS["shuffled"](np.zeros(5), 8, 4, np.random.default_rng(0)).shape == (1, 5)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 1000))
def test_identity_balanced_has_p_identities_of_k_images(labels, seed):
    if len(np.unique(labels)) < 4:
        return
    batches = SAMPLERS["identity_balanced"](labels, 8, 2, np.random.default_rng(seed))
    assert batches.shape == (len(labels) // 8, 8)
    for batch in batches:
        identities, counts = np.unique(labels[batch], return_counts=True)
        assert len(identities) == 4
        assert (counts == 2).all()
    for identity in np.unique(labels):
        if (labels == identity).sum() >= 2:
            # An identity's images occur in turn: none a third time before all occurred once.
            places = batches[labels[batches] == identity]
            _, times = np.unique(places, return_counts=True)
            assert times.size == 0 or times.max() <= -(-places.size // (labels == identity).sum()) + 1


def test_identity_balanced_shows_identities_equally_often():
    labels = np.repeat(np.arange(6), [30, 5, 5, 5, 5, 30])
    batches = SAMPLERS["identity_balanced"](labels, 8, 4, np.random.default_rng(0))
    _, counts = np.unique(labels[batches], return_counts=True)
    assert counts.max() - counts.min() <= 4


def test_identity_balanced_names_what_does_not_fit():
    with pytest.raises(ValueError, match="batch_size=10"):
        SAMPLERS["identity_balanced"](np.arange(20), 10, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs 8 identities, but there are only 2"):
        SAMPLERS["identity_balanced"](np.arange(40) % 2, 32, 4, np.random.default_rng(0))


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 1000))
def test_chunks_use_an_image_once_and_leave_fewer_than_p_identities(labels, seed):
    identities, counts = np.unique(labels, return_counts=True)
    if len(identities) < 4:
        return
    batches = SAMPLERS["chunks"](labels, 8, 2, np.random.default_rng(seed))
    assert all((np.unique(labels[batch], return_counts=True)[1] == 2).all() for batch in batches)
    used = batches[np.isin(labels[batches], identities[counts >= 2])]
    assert len(np.unique(used)) == used.size
    done = {identity: (labels[batches] == identity).sum() // 2 for identity in identities}
    left = [identity for identity, count in zip(identities, counts, strict=True) if done[identity] < max(1, count // 2)]
    assert len(left) < 4


def test_chunks_refuse_too_few_identities():
    with pytest.raises(ValueError, match="needs 4 identities, but there are only 2"):
        SAMPLERS["chunks"](np.repeat([0, 1], 8), 8, 2, np.random.default_rng(0))
