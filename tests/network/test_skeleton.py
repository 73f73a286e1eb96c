import keras
import numpy as np
from layer_checks import gradient, randomise

from gaaplib.network.skeleton import (
    EDGES,
    GLOBAL,
    NODES,
    DirectedGraph,
    HardestPairs,
    Matching,
    NodeLosses,
    certainty,
    looked_at,
    sinkhorn,
)

RNG = np.random.default_rng(0)
NODES_OF = RNG.normal(size=(3, NODES, 8)).astype("float32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_a_node_looks_at_its_key_points():
    maps = np.zeros((2, 6, 2, 17), "float32")
    maps[:, 1, 0, :5] = 0.5  # the head
    maps[:, 4, 1, 16] = 2.0  # an ankle
    weights = arrays(looked_at(maps)).reshape(2, 6, 2, 13)
    np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert (weights[:, 1, 0, 0] > 0.99).all() and (weights[:, 4, 1, 12] > 0.99).all()
    # Where no point of a node is, it looks everywhere.
    np.testing.assert_allclose(weights[:, :, :, 3], 1 / 12, rtol=1e-5)


def test_certainties_are_shares_of_the_confidences():
    points = RNG.random((2, 17, 3)).astype("float32")
    found = arrays(certainty(points))
    means = np.concatenate([points[:, :5, 2].mean(axis=1, keepdims=True), points[:, 5:, 2]], axis=1)
    np.testing.assert_allclose(found[:, :13], means / means.sum(axis=1, keepdims=True), rtol=1e-4)
    assert (found[:, GLOBAL] == 1).all()
    np.testing.assert_allclose(arrays(certainty(0 * points))[:, :13], 1 / 13, rtol=1e-5)


def test_a_graph_joins_neighbours_in_two_directions_and_all_listen_to_the_whole():
    layer = DirectedGraph()
    layer(NODES_OF)
    found = arrays(layer.adjacency(keras.ops.convert_to_tensor(NODES_OF)))
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-5)
    joined = {(one, other) for pair in EDGES for one, other in (pair, pair[::-1])}
    joined |= {(node, GLOBAL) for node in range(NODES)}
    assert {tuple(map(int, pair)) for pair in np.argwhere(found[0] > 0)} <= joined
    assert found[0, GLOBAL, GLOBAL] == 1
    # Before the division, both directions of an edge sum to 2 and the whole sends 1.
    raw = found / found[:, :, GLOBAL:]
    for one, other in EDGES:
        np.testing.assert_allclose(raw[:, one, other] + raw[:, other, one], 2, rtol=1e-3)


def test_a_graph_is_what_its_definition_says():
    layer = DirectedGraph()
    layer(NODES_OF)
    randomise(keras.Sequential([layer]))
    found = arrays(layer(NODES_OF))
    adjacency = arrays(layer.adjacency(keras.ops.convert_to_tensor(NODES_OF)))
    kernels = [[arrays(part) for part in (dense.kernel, dense.bias)] for dense in (layer.taken_in, layer.kept)]
    mixed = np.einsum("bij,bjc->bic", adjacency, NODES_OF)
    expected = np.maximum(mixed @ kernels[0][0] + kernels[0][1], 0) + NODES_OF @ kernels[1][0] + kernels[1][1]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    clone = DirectedGraph.from_config(layer.get_config())
    clone(NODES_OF)
    clone.set_weights(layer.get_weights())
    np.testing.assert_allclose(arrays(clone(NODES_OF)), found, rtol=1e-5)


def test_rows_and_columns_sum_to_one_after_sinkhorn():
    found = arrays(sinkhorn(keras.ops.convert_to_tensor(RNG.random((4, 14, 14)).astype("float32") + 0.01)))
    for axis in (1, 2):
        np.testing.assert_allclose(found.sum(axis=axis), 1, atol=1e-3)


def test_an_image_matches_itself_and_its_shuffled_parts():
    layer = Matching()
    nodes = RNG.normal(size=(2, NODES, 32)).astype("float32")
    matched, scores = (arrays(part) for part in layer([nodes, nodes]))
    assert matched.shape == (2, NODES, NODES) and scores.shape == (2,)
    assert (matched.argmax(axis=2) == np.arange(NODES)).all()
    assert np.trace(matched, axis1=1, axis2=2).min() > 0.9 * NODES
    order = RNG.permutation(NODES)
    shuffled, _ = layer([nodes, nodes[:, order]])
    assert (order[arrays(shuffled).argmax(axis=2)] == np.arange(NODES)).all()


def test_losses_of_nodes_are_smoothed_and_weighted():
    logits = RNG.normal(size=(3, NODES, 4)).astype("float32")
    labels, certain = np.array([2, 0, 3]), RNG.random((3, NODES)).astype("float32")
    found = arrays(NodeLosses(label_smoothing=0.1)([logits, labels, certain]))
    shares = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    for image in range(3):
        target = np.full(4, 0.1 / 4)
        target[labels[image]] += 0.9
        expected = -(certain[image][:, None] * target * shares[image]).sum()
        np.testing.assert_allclose(found[image], expected, rtol=1e-4)


def test_the_hardest_pairs_are_the_farthest_and_the_nearest():
    vectors, labels = RNG.normal(size=(7, 5)).astype("float32"), np.array([0, 0, 0, 1, 1, 2, 2], "int32")
    positive, negative, weights = (arrays(part) for part in HardestPairs()([vectors, labels]))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = 1 - unit @ unit.T
    for image in range(7):
        same = [n for n in range(7) if labels[n] == labels[image] and n != image]
        assert positive[image] == max(same, key=lambda n: apart[image, n])
        assert negative[image] == min(np.flatnonzero(labels != labels[image]), key=lambda n: apart[image, n])
    np.testing.assert_allclose(weights, 1)
    alone = HardestPairs()([vectors[:4], np.array([0, 0, 1, 2], "int32")])[2]
    np.testing.assert_allclose(arrays(alone), [2, 2, 0, 0])
    total = gradient(
        lambda array: keras.ops.sum(HardestPairs()([array, labels])[2]) + 0 * keras.ops.sum(array), vectors
    )
    assert not total.any()
