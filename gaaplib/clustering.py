"""Clusters of embeddings, the labels of methods that learn without identities. NumPy in, NumPy out."""

import warnings

import numpy as np
from scipy.cluster import hierarchy, vq


def average_linkage(embeddings, clusters):
    """Merge the two nearest clusters, beginning with single images, until so many are left.

    The distance of two clusters is the mean Euclidean distance of their images (UPGMA). Nothing is random. It needs
    the distances of all pairs, 4 bytes times the squared number of images, twice.

    Args:
        embeddings: (n, dim).
        clusters: number of clusters, from 1 to n.

    Returns:
        (n,) integers: the cluster of each image, from 0 in the order of their first images.

    Raises:
        ValueError: a number of clusters out of range.

    Example:
        >>> average_linkage([[0.0], [5.0], [0.1], [5.3]], clusters=2).tolist()
        [0, 1, 0, 1]
    """
    number = len(embeddings)
    if not 1 <= clusters <= number:
        raise ValueError(f"clusters={clusters!r}: expected a number from 1 to {number}, as there are so many images")
    # Each row merges two clusters; those from `number` on were made by earlier rows.
    merges = hierarchy.linkage(np.asarray(embeddings, float), "average") if number > 1 else np.empty((0, 4))
    parents = np.arange(2 * number)
    for row in range(number - clusters):
        parents[merges[row, :2].astype(int)] = number + row
    # A cluster is made after its parts, so going down from the last one each has its final parent in one step.
    for cluster in range(2 * number - clusters - 1, -1, -1):
        parents[cluster] = parents[parents[cluster]]
    return in_order(parents[:number])


def in_order(labels):
    """Labels as integers from 0, in the order of their first images; images with a negative label keep -1.

    Example:
        >>> in_order(np.array([7, 3, -1, 7])).tolist()
        [0, 1, -1, 0]
    """
    labels = np.asarray(labels)
    known, first, of_image = np.unique(labels, return_index=True, return_inverse=True)
    places = np.empty(len(known), int)
    real = known >= 0
    places[~real] = -1
    places[real] = np.argsort(np.argsort(first[real]))
    return places[of_image]


def without_single(labels):
    """The labels, with -1 for each image that is alone in its cluster.

    Example:
        >>> without_single(np.array([0, 1, 0, 2])).tolist()
        [0, -1, 0, -1]
    """
    counts = np.bincount(labels)
    return in_order(np.where(counts[labels] > 1, labels, -1))


def kmeans(embeddings, clusters, seed):
    """Clusters by the nearest of so many means (k-means with k-means++ as the start, at most 20 steps).

    Args:
        embeddings: (n, dim).
        clusters: from 1 to n. A cluster that loses all of its images is left out, so there may be fewer.
        seed: of the start.

    Returns:
        (n,) integers, the cluster of each image, from 0 in the order of their first images; and their means.

    Example:
        >>> labels, means = kmeans([[0.0], [5.0], [1.0], [6.0]], clusters=2, seed=0)
        >>> labels.tolist(), means.tolist()
        ([0, 1, 0, 1], [[0.5], [5.5]])
    """
    embeddings = np.asarray(embeddings, float)
    # Of fewer different images than clusters, the start divides by zero and clusters lose their images.
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        _, labels = vq.kmeans2(embeddings, clusters, iter=20, minit="++", seed=np.random.default_rng(seed))
    labels = in_order(labels)
    return labels, means_of(embeddings, labels)


def means_of(embeddings, labels):
    """The mean of each cluster, (clusters, dim)."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    return sums / np.bincount(labels)[:, np.newaxis]


def separation(embeddings, labels):
    """The scatter of the clusters' means, divided by the scatter of the images about their own cluster's mean.

    It is the larger, the farther apart and the denser the clusters are (MEB-Net's authority, Zhai et al. 2020).

    Example:
        >>> separation(np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1]))  # 4 * 25 / (4 * 1)
        25.0
    """
    means = means_of(embeddings, labels)[labels]
    within = np.square(embeddings - means).sum()
    between = np.square(means - embeddings.mean(axis=0)).sum()
    return float(between / max(within, np.finfo(float).tiny))
