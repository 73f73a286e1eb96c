import numpy as np
import pytest

from gaaplib.distances import EmbeddingDistances
from gaaplib.evaluation.matching import MatchedDistances

RNG = np.random.default_rng(0)
QUERY = {"embedding": RNG.normal(size=(7, 5)), "nodes": RNG.normal(size=(7, 2, 3))}
GALLERY = {"embedding": RNG.normal(size=(12, 5)), "nodes": RNG.normal(size=(12, 2, 3))}


def probability(one, other):
    return 1 / (1 + np.exp(-(one * other).sum(axis=(1, 2))))


@pytest.mark.parametrize("nearest", [1, 4, 30])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_nearest_are_ordered_anew_and_nothing_else_changes(nearest, share):
    before = EmbeddingDistances(QUERY["embedding"], GALLERY["embedding"]).matrix()
    found = MatchedDistances(QUERY, GALLERY, probability, nearest=nearest, share=share).matrix()
    for query in range(7):
        near = sorted(range(12), key=lambda image: before[query, image])[:nearest]
        score = {
            image: share * (1 - before[query, image])
            + (1 - share) * probability(QUERY["nodes"][[query]], GALLERY["nodes"][[image]])[0]
            for image in near
        }
        expected = before[query].copy()
        for image, distance in zip(sorted(near, key=lambda n: -score[n]), sorted(before[query, near]), strict=True):
            expected[image] = distance
        np.testing.assert_array_equal(found[query], expected)


def test_blocks_and_few_pairs_at_once_give_the_same(monkeypatch):
    whole = MatchedDistances(QUERY, GALLERY, probability).matrix()
    monkeypatch.setattr("gaaplib.evaluation.matching.PAIRS", 16)
    monkeypatch.setattr("gaaplib.distances.BLOCK_BYTES", 12 * 8 * 3)
    for first, block in MatchedDistances(QUERY, GALLERY, probability).blocks():
        np.testing.assert_allclose(block, whole[first : first + len(block)], rtol=1e-12)
