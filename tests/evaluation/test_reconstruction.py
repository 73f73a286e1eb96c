import numpy as np
import pytest

from gaaplib.evaluation.reconstruction import ReconstructionDistances
from tests.oracles import reconstruction as slow


def side(images, parts=6, channels=20, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random((images, parts))
    return {
        "embedding": rng.normal(size=(images, 8)),
        "parts": rng.normal(size=(images, parts, channels)),
        "weights": weights / weights.sum(axis=1, keepdims=True),
    }


@pytest.mark.parametrize("shortlist", [1, 4, 100])
@pytest.mark.parametrize(("share", "ridge"), [(0.5, 1e-3), (1.0, 0.2), (0.0, 1e-3)])
@pytest.mark.parametrize("parts", [6, 25])
def test_distances_equal_the_oracle(shortlist, share, ridge, parts):
    query, gallery = side(5, parts), side(9, parts, seed=1)
    found = ReconstructionDistances(query, gallery, shortlist=shortlist, share=share, ridge=ridge).matrix()
    expected = slow.distances(query, gallery, shortlist, share, ridge)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


def test_blocks_of_rows_give_the_same(monkeypatch):
    query, gallery = side(7), side(9, seed=1)
    whole = ReconstructionDistances(query, gallery, shortlist=3).matrix()
    monkeypatch.setattr("gaaplib.distances.BLOCK_BYTES", 9 * 8 * 2)
    blocks = ReconstructionDistances(query, gallery, shortlist=3).blocks()
    for first, block in blocks:
        np.testing.assert_allclose(block, whole[first : first + len(block)], rtol=1e-12)


def test_an_image_is_put_together_from_itself_and_less_and_less_from_others():
    image = side(1)
    changed = [image["parts"].copy() for _ in range(4)]
    for number, parts in enumerate(changed):
        parts[0, :number] = side(1, seed=2)["parts"][0, :number]
    gallery = {name: np.repeat(array, 4, axis=0) for name, array in image.items()} | {"parts": np.concatenate(changed)}
    found = ReconstructionDistances(image, gallery, share=1.0).matrix()[0]
    assert found[0] < 2e-3
    assert (np.diff(found) > 0.02).all()


def test_the_background_of_a_query_does_not_count():
    image = side(1)
    image["weights"][0, :2] = 0
    elsewhere = image | {"parts": image["parts"].copy()}
    elsewhere["parts"][0, :2] = side(1, seed=2)["parts"][0, :2]
    assert ReconstructionDistances(elsewhere, image, share=1.0).matrix()[0, 0] < 2e-3


def test_images_equally_near_are_all_looked_at():
    query, gallery = side(1), side(6, seed=1)
    gallery["embedding"][:] = gallery["embedding"][0]
    assert ReconstructionDistances(query, gallery, shortlist=2).matrix().max() < 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": np.ones((3, 6, 20))}, "gallery has 4 embeddings, parts of shape"),
        ({"weights": np.ones((4, 5))}, "weights of shape"),
        ({"weights": -np.ones((4, 6))}, "gallery weights has negative values"),
        ({"weights": np.full((4, 6), np.nan)}, "gallery weights is nan at row 0, column 0"),
        ({"parts": np.full((4, 6, 20), np.inf)}, "gallery parts is inf at row 0, column 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionDistances(side(2), side(4, seed=1) | change)
