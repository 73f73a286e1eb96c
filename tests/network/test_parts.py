import keras
import numpy as np
import pytest
from layer_checks import check_layer, gradient

from gaaplib.network.parts import BatchDrop, Reduction, classifiers, directions, joined, pooled_stripes, stripes
from gaaplib.pooling import POOLING

PARTS = np.random.default_rng(0).normal(size=(8, 3, 4)).astype("float32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize(("rows", "count"), [(24, 6), (8, 6), (7, 3), (6, 6), (5, 1)])
def test_every_row_is_in_one_stripe_and_heights_differ_by_one_at_most(rows, count):
    parts = stripes(rows, count)
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
    heights = [part.stop - part.start for part in parts]
    assert len(parts) == count and max(heights) - min(heights) <= 1


def test_overlapping_stripes_are_higher_and_end_at_the_edges():
    parts = stripes(24, 3, overlap=0.5)
    assert [(part.start, part.stop) for part in parts] == [(0, 10), (6, 18), (14, 24)]
    with pytest.raises(ValueError, match="6 stripes of a feature map of 4 rows"):
        stripes(4, 6, overlap=0.5)


@pytest.mark.parametrize("pooling", POOLING)
def test_stripes_are_pooled_like_maps(pooling):
    maps = np.random.default_rng(0).random((2, 6, 2, 3)).astype("float32")
    layer = POOLING[pooling]()
    found = arrays(pooled_stripes(maps, layer, stripes(6, 3)))
    for part in range(3):
        np.testing.assert_allclose(found[:, part], arrays(layer(maps[:, 2 * part : 2 * part + 2])), rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_the_reduction_passes_the_shared_check(shared, relu):
    check_layer(lambda: Reduction(5, shared=shared, use_bias=True, relu=relu), [PARTS], rtol=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_the_reduction_is_that_of_each_part_alone(shared):
    layer = Reduction(5, shared=shared)
    found = arrays(layer(PARTS, training=True))
    kernel = arrays(layer.linear.kernel)
    products = [PARTS[:, part] @ (kernel if shared else kernel[part]) for part in range(3)]
    together = np.concatenate(products)
    for part, product in enumerate(products):
        # The statistics of a shared layer are those of all parts.
        over = together if shared else product
        expected = np.maximum((product - over.mean(axis=0)) / np.sqrt(over.var(axis=0) + 1e-5), 0)
        np.testing.assert_allclose(found[:, part], expected, rtol=1e-3, atol=1e-4)


def test_every_part_has_a_classifier_of_its_own():
    layer = classifiers(3, 5)
    logits = arrays(layer(PARTS))
    expected = np.einsum("bpc,pck->bpk", PARTS, arrays(layer.kernel))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    slope = gradient(lambda parts: keras.ops.sum(layer(parts)[:, 0]), PARTS)
    assert (arrays(slope)[:, 1:] == 0).all()


def test_joined_parts_have_length_one_each():
    found = arrays(joined(PARTS)).reshape(8, 3, 4)
    np.testing.assert_allclose(found, PARTS / np.linalg.norm(PARTS, axis=2, keepdims=True), rtol=1e-5)


def test_the_drop_passes_the_shared_check():
    check_layer(BatchDrop, [np.ones((2, 6, 4, 3), "float32")])


@pytest.mark.parametrize(("height", "width", "size"), [(0.33, 1.0, (2, 4)), (0.5, 0.5, (3, 2)), (0.0, 1.0, (0, 4))])
def test_one_rectangle_is_dropped_for_the_whole_batch(height, width, size):
    layer = BatchDrop(height, width, seed=0)
    features = np.random.default_rng(0).random((5, 6, 4, 3)).astype("float32") + 1
    assert np.array_equal(arrays(layer(features)), features)
    tops = set()
    for _ in range(40):
        dropped = arrays(layer(features, training=True)) == 0
        assert (dropped == dropped[:1, :, :, :1]).all()
        rows, columns = (dropped[0, :, :, 0].any(axis=axis) for axis in (1, 0))
        assert dropped[0, :, :, 0].sum() == size[0] * size[1]
        if size[0]:
            assert (rows.sum(), columns.sum()) == size
            assert (np.diff(np.flatnonzero(rows)) == 1).all() and (np.diff(np.flatnonzero(columns)) == 1).all()
            tops.add(int(np.flatnonzero(rows)[0]))
    # Every place occurs.
    assert tops == (set(range(6 - size[0] + 1)) if size[0] else set())


def test_directions_have_length_one_and_zeros_have_a_gradient_of_zero():
    vectors = PARTS.copy()
    vectors[0, 0] = 0
    found = arrays(directions(vectors))
    np.testing.assert_allclose(found[1:], PARTS[1:] / np.linalg.norm(PARTS[1:], axis=2, keepdims=True), rtol=1e-5)
    assert not found[0, 0].any()
    slope = gradient(lambda array: keras.ops.sum(keras.ops.square(directions(array))[..., 0]), vectors)
    assert np.isfinite(slope).all() and not slope[0, 0].any() and slope[1].any()
