import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib.clustering import average_linkage, in_order, kmeans, means_of, separation, without_single


def slow_average_linkage(embeddings, clusters):
    """Merge the two clusters of smallest mean distance, again and again."""
    groups = [[index] for index in range(len(embeddings))]
    apart = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    while len(groups) > clusters:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        i, j = min(pairs, key=lambda pair: apart[np.ix_(groups[pair[0]], groups[pair[1]])].mean())
        groups[j] += groups.pop(i)
    groups = sorted(groups, key=min)
    return np.array([next(n for n, group in enumerate(groups) if index in group) for index in range(len(embeddings))])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 15), st.data())
def test_average_linkage_equals_the_oracle(number, data):
    clusters = data.draw(st.integers(1, number))
    embeddings = np.random.default_rng(data.draw(st.integers(0, 1000))).normal(size=(number, 3))
    assert np.array_equal(average_linkage(embeddings, clusters), slow_average_linkage(embeddings, clusters))


def test_equal_images_give_as_many_clusters_as_asked_for():
    assert np.unique(average_linkage(np.ones((10, 2)), 4)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("clusters", [0, 4])
def test_numbers_out_of_range_are_refused(clusters):
    with pytest.raises(ValueError, match=f"clusters={clusters}: expected a number from 1 to 3"):
        average_linkage(np.zeros((3, 2)), clusters)


@given(st.lists(st.integers(-2, 5), max_size=20))
def test_labels_in_order_are_the_same_partition(labels):
    found = in_order(labels).tolist()
    seen = list(dict.fromkeys(label for label in labels if label >= 0))
    assert found == [seen.index(label) if label >= 0 else -1 for label in labels]


def test_single_images_have_no_label():
    assert without_single(np.array([3, 1, 3, 0, 1, 2])).tolist() == [0, 1, 0, -1, 1, -1]


def test_separated_clouds_are_the_clusters_of_kmeans():
    rng = np.random.default_rng(0)
    embeddings = np.repeat(10 * np.eye(4), 25, axis=0) + rng.normal(size=(100, 4))
    labels, means = kmeans(embeddings, 4, seed=0)
    assert labels.tolist() == np.repeat(range(4), 25).tolist()
    np.testing.assert_allclose(means, embeddings.reshape(4, 25, 4).mean(axis=1))
    again, _ = kmeans(embeddings, 4, seed=0)
    assert np.array_equal(labels, again)


def test_equal_images_are_fewer_clusters_than_asked_for_and_no_warning(recwarn):
    labels, means = kmeans(np.repeat([[0.0], [1.0]], 5, axis=0), 4, seed=0)
    assert labels.max() + 1 == len(means) < 4 + 1 and np.isfinite(means).all()
    assert not recwarn.list


@given(st.integers(0, 1000))
def test_separation_is_the_ratio_of_the_two_scatters(seed):
    rng = np.random.default_rng(seed)
    embeddings, labels = rng.normal(size=(20, 3)), in_order(rng.integers(0, 4, 20))
    between = within = 0.0
    for label in np.unique(labels):
        members = embeddings[labels == label]
        between += len(members) * ((members.mean(axis=0) - embeddings.mean(axis=0)) ** 2).sum()
        within += ((members - members.mean(axis=0)) ** 2).sum()
    assert separation(embeddings, labels) == pytest.approx(between / within)
    np.testing.assert_allclose(means_of(embeddings, labels)[0], embeddings[labels == 0].mean(axis=0))
