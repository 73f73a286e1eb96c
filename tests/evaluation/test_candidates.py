"""Candidates of FAISS compared with exact distances, and their errors."""

import sys

import numpy as np
import pytest

from gaaplib.distances import pairwise_distances
from gaaplib.evaluation.candidates import Candidates


def clustered(seed=0, queries=30, gallery=2000, dim=32, people=100):
    """Queries and a gallery of people whose images are alike; the lengths of the embeddings differ."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, dim))
    images = centres[rng.integers(people, size=queries + gallery)] + rng.normal(size=(queries + gallery, dim))
    images = (images * rng.uniform(0.5, 2, size=(len(images), 1))).astype(np.float32)
    return images[:queries], images[queries:]


def slow_recall(found, distances, count):
    """The share of the ``count`` nearest that were found, one query and one image at a time."""
    right = 0
    for names, row in zip(found, distances, strict=True):
        nearest = sorted(range(len(row)), key=lambda image: (row[image], image))[:count]
        right += sum(image in set(names.tolist()) for image in nearest)
    return right / (count * len(distances))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_recall_is_the_share_of_the_nearest_that_are_found(metric):
    query, gallery = clustered()
    candidates = Candidates(gallery, metric, share=0.1)
    found, distances = candidates.near(query, 40), pairwise_distances(query, gallery, metric)
    expected = slow_recall(found, distances, 10)
    assert candidates.recall(query, 10, among=40) == pytest.approx(expected)
    assert 0.5 < expected < 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_all_cells_find_all_of_the_nearest(metric):
    query, gallery = clustered(1)
    assert Candidates(gallery, metric, share=1).recall(query, 10, among=100) == 1


def test_the_query_itself_does_not_count():
    _, gallery = clustered(2)
    places = np.arange(0, 200, 7)
    candidates = Candidates(gallery, share=0.05)
    found, distances = candidates.near(gallery[places], 20), pairwise_distances(gallery[places], gallery)
    distances[np.arange(len(places)), places] = np.inf
    expected = slow_recall(found, distances, 10)
    assert candidates.recall(gallery[places], 10, among=20, itself=places) == pytest.approx(expected)
    assert expected < candidates.recall(gallery[places], 10, among=20)


def test_nothing_is_missed_if_there_is_nothing_to_find():
    assert Candidates([[1.0, 0.0]]).recall([[1.0, 0.0]], itself=[0]) == 1


def test_candidates_are_the_same_each_time():
    query, gallery = clustered(3)
    assert np.array_equal(Candidates(gallery).near(query, 50), Candidates(gallery).near(query, 50))


def test_a_small_gallery_gives_all_its_images():
    assert sorted(Candidates([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], share=1.0).near([[1.0, 0.5]], 9)[0]) == [0, 1, 2]


def test_a_missing_place_is_minus_one():
    _, gallery = clustered(4)
    found = Candidates(gallery, share=0.01).near(gallery[:1], 1000)[0]
    assert found.shape == (1000,)
    assert found[-1] == -1 and found[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 0.0]], "manhattan", 1), "metric is 'manhattan'"),
        (([[1.0, 0.0], [0.0, 0.0]], "cosine", 1), "row 1 is all zeros"),
        (([[1.0, np.nan]], "cosine", 1), "gallery is nan at row 0, column 1"),
        ((np.empty((0, 3)), "cosine", 1), "at least one image"),
        (([[1.0, 0.0]], "cosine", 0), "share is 0"),
        (([[1.0, 0.0]], "cosine", 1.5), "share is 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    gallery, metric, share = arguments
    with pytest.raises(ValueError, match=message):
        Candidates(gallery, metric, share=share)


def test_wrong_queries_are_named():
    candidates = Candidates([[1.0, 0.0]])
    with pytest.raises(ValueError, match="query has 3 columns and gallery 2"):
        candidates.near([[1.0, 0.0, 0.0]], 1)
    with pytest.raises(ValueError, match="count is 0"):
        candidates.near([[1.0, 0.0]], 0)


def test_without_faiss_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'gaaplib\[faiss\]'"):
        Candidates([[1.0, 0.0]])
