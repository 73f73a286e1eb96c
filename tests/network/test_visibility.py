import itertools

import keras
import numpy as np
import pytest
from layer_checks import check_layer, gradient

from gaaplib.network.visibility import LIMBS, LimbMaps, PairLosses, part_vectors, pose_network

RNG = np.random.default_rng(0)
LABELS = np.array([0, 0, 1, 1, 2], "int32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


def limbs():
    return LimbMaps(rows=24, columns=8, height=96, width=32, half=3.0)


def test_the_layer_passes_the_shared_check():
    points = (RNG.random((2, 18, 3)) * [32, 96, 1]).astype("float32")
    check_layer(limbs, [points], half=False)


def test_a_limb_is_drawn_along_its_direction_and_only_if_both_ends_are_seen():
    points = np.zeros((1, 18, 3), "float32")
    points[0, 5], points[0, 7] = [10, 20, 1], [10, 60, 1]  # an upper arm that hangs down
    number = LIMBS.index((5, 7))
    found = arrays(limbs()(points))[0]
    x, y = found[:, :, number], found[:, :, len(LIMBS) + number]
    assert not x.any()
    drawn = np.argwhere(y)
    # Positions are 4 pixels apart, their middles at 2, 6, 10 ...
    assert set(drawn[:, 1]) == {2} and drawn[:, 0].min() == 5 and drawn[:, 0].max() == 14
    assert (y[y > 0] == 1).all()
    others = np.delete(found, [number, len(LIMBS) + number], axis=2)
    assert not others.any()
    points[0, 7, 2] = 0
    assert not arrays(limbs()(points)).any()


def test_a_slanted_limb_has_its_direction_in_both_maps():
    points = np.zeros((1, 18, 3), "float32")
    points[0, 5], points[0, 7] = [4, 20, 1], [28, 52, 1]
    number = LIMBS.index((5, 7))
    found = arrays(limbs()(points))[0]
    x, y = found[:, :, number], found[:, :, len(LIMBS) + number]
    np.testing.assert_allclose(x[x > 0], 0.6, rtol=1e-5)
    np.testing.assert_allclose(y[x > 0], 0.8, rtol=1e-5)


def test_each_position_serves_one_part():
    places, visible = pose_network(24, 8, maps=5, parts=6)(RNG.random((3, 24, 8, 5)).astype("float32"))
    places, visible = arrays(places), arrays(visible)
    assert places.shape == (3, 6, 2, 6) and visible.shape == (3, 6)
    assert ((places > 0).sum(axis=3) == 1).all() and places.max() < 1
    assert (visible > 0).all() and (visible < 1).all()


def test_a_part_is_the_mean_over_its_positions():
    features, places = RNG.random((2, 6, 2, 4)).astype("float32"), np.zeros((2, 6, 2, 3), "float32")
    places[:, :2, :, 0] = 0.5
    places[:, 5, 1, 2] = 0.9
    found = arrays(part_vectors(features, places))
    np.testing.assert_allclose(found[:, 0], features[:, :2].mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found[:, 2], features[:, 5, 1], rtol=1e-4)
    assert not found[:, 1].any()


@pytest.mark.parametrize("trained", [False, True])
def test_losses_of_pairs_equal_their_definition(trained):
    vectors, visible = RNG.normal(size=(5, 4, 7)).astype("float32"), RNG.uniform(0.1, 0.9, (5, 4)).astype("float32")
    layer = PairLosses()
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    pairs = [(i, j) for i, j in itertools.permutations(range(5), 2) if LABELS[i] == LABELS[j]]
    diagonal = np.mean([[unit[i, p] @ unit[j, p] for p in range(4)] for i, j in pairs], axis=0)

    def relation(i, j, p, q):
        one, other = (unit[n, p] - unit[n, q] for n in (i, j))
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    apart = [(p, q) for p in range(4) for q in range(4) if p != q]
    beside = np.mean([relation(i, j, p, q) for i, j in pairs for p, q in apart])
    found = {name: arrays(values) for name, values in layer([vectors, visible, LABELS], training=trained).items()}
    remembered = (0.5 * diagonal, 0.5 * beside) if trained else (np.zeros(4), 0.0)
    np.testing.assert_allclose(arrays(layer.diagonal), remembered[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(arrays(layer.beside), remembered[1], rtol=1e-4, atol=1e-6)
    paired, entropies = [], []
    for i, j in pairs:
        weights = np.diag([unit[i, p] @ unit[j, p] for p in range(4)])
        for p, q in apart:
            weights[p, q] = relation(i, j, p, q) - remembered[1]
        choices = [np.array(choice) for choice in itertools.product((0.0, 1.0), repeat=4)]
        chosen = max(choices, key=lambda x: x @ weights @ x - 0.9 * remembered[0] @ x)
        within = [np.mean([unit[n, p] @ unit[n, q] for n in (i, j) for q in range(4) if q != p]) for p in range(4)]
        paired.append(-chosen @ weights @ chosen + np.array(within) @ chosen)
        both = visible[i] * visible[j]
        entropies.append(-np.mean(chosen * np.log(both) + (1 - chosen) * np.log(1 - both)))
    np.testing.assert_allclose(found["paired"], np.mean(paired), rtol=1e-3)
    np.testing.assert_allclose(found["visible"], np.mean(entropies), rtol=1e-3)


def test_a_batch_without_pairs_gives_nothing_and_equal_parts_have_a_gradient():
    layer = PairLosses()
    vectors, visible = np.ones((3, 4, 7), "float32"), np.full((3, 4), 0.5, "float32")
    alone = layer([vectors, visible, np.arange(3, dtype="int32")])
    assert all(not arrays(values).any() for values in alone.values())
    same = np.zeros(3, "int32")
    found = gradient(lambda array: keras.ops.sum(layer([array, visible, same])["paired"]), vectors)
    assert np.isfinite(found).all()
