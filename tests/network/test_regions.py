import math

import keras
import numpy as np
import pytest
from layer_checks import gradient
from PIL import Image

from gaaplib.network.regions import KeepTop, RegionLosses, Regions, regions_loss, rows_of_regions, shared_distances

RNG = np.random.default_rng(0)


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("share", [1.0, 0.75, 0.5])
def test_the_top_is_kept_and_enlarged(share):
    image = RNG.integers(0, 256, (16, 4, 3), dtype=np.uint8)
    found = arrays(KeepTop()(image[None], np.array([share], "float32")))[0]
    for channel in range(3):
        plane = Image.fromarray(image[:, :, channel].astype("float32"))
        expected = plane.resize((4, 16), Image.Resampling.BILINEAR, box=(0, 0, 4, 16 * share))
        # Pillow sees nothing below the cut, so the last rows may differ.
        np.testing.assert_allclose(found[:15, :, channel], np.asarray(expected)[:15], atol=1e-3)


def test_each_row_shows_the_region_that_the_whole_image_has_there():
    for share in (1.0, 0.9, 0.7, 0.5):
        found = arrays(rows_of_regions(np.array([share], "float32"), 24, 6))[0]
        # The middle of each row, in the whole image, lies in a region of a sixth, up to the rounding of a boundary.
        middles = (np.arange(24) + 0.5) / 24 * share * 6
        assert (np.abs(found - np.floor(middles)) <= (np.abs(middles - np.round(middles)) < 0.13)).all()
    assert arrays(rows_of_regions(np.array([1.0], "float32"), 8, 6))[0].tolist() == [0, 1, 1, 2, 3, 4, 4, 5]


def test_vectors_and_visibilities_follow_the_locator():
    layer = Regions(2)
    features = RNG.random((3, 4, 2, 16)).astype("float32")
    vectors, visibility, scores, embedding = (arrays(part) for part in layer(features, features))
    for image in range(3):
        chances = np.array([[math.exp(s) / sum(map(math.exp, row)) for s in row] for row in scores[image]])
        np.testing.assert_allclose(visibility[image], chances.sum(axis=0), rtol=1e-4)
        for part in range(2):
            rows = features[image].sum(axis=1)
            expected = (chances[:, part, None] * rows).sum(axis=0) / chances[:, part].sum()
            np.testing.assert_allclose(vectors[image, part], expected, rtol=1e-4)
    lengths = np.linalg.norm(embedding.reshape(3, 2, 16), axis=2)
    np.testing.assert_allclose(lengths, visibility, rtol=1e-4)
    clone = Regions.from_config(layer.get_config())
    assert clone.parts == 2
    shapes = [tuple(part.shape) for part in (vectors, visibility, scores, embedding)]
    assert list(layer.compute_output_shape(features.shape)) == shapes
    with pytest.raises(ValueError, match="12 channels are not a multiple of 8"):
        Regions(2).build((None, 4, 2, 12))


def test_no_gradient_goes_from_the_vectors_to_the_locator():
    layer = Regions(2)
    features = RNG.random((3, 4, 2, 16)).astype("float32")
    layer(features, features)
    # Connected by a sum whose slope is one, so that there is a gradient on every backend.
    slope = gradient(lambda located: keras.ops.sum(layer(features, located)[0]) + keras.ops.sum(located), features)
    assert (arrays(slope) == 1).all()
    slope = gradient(lambda located: keras.ops.sum(keras.ops.square(layer(features, located)[2])), features)
    assert np.abs(arrays(slope)).max() > 0


def test_a_region_that_is_hardly_there_is_not_classified():
    """Of 24 rows and 6 regions a region has four rows; with one of them it does not count, with two it does."""
    logits = RNG.normal(size=(2, 6, 3)).astype("float32")
    labels = np.array([0, 2], "int32")
    rows = np.array([[0] * 8 + [1] * 8 + [2] * 7 + [3], [0] * 8 + [1] * 8 + [2] * 6 + [3] * 2], "int32")
    found = arrays(regions_loss(logits, labels, rows))
    each = [
        [math.log(sum(math.exp(v) for v in row)) - row[label] for row in parts]
        for parts, label in zip(logits.tolist(), labels, strict=True)
    ]
    # The mean over the two images is the sum over regions of the mean over the images that show them.
    expected = sum((each[0][part] + each[1][part]) / 2 for part in range(3)) + each[1][3]
    assert found.mean() == pytest.approx(expected, rel=1e-5)


def test_distances_are_weighted_by_what_both_show():
    vectors = RNG.normal(size=(4, 3, 5)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    visibility = RNG.random((4, 3)).astype("float32")
    found = arrays(shared_distances(vectors, visibility))
    for a in range(4):
        for b in range(4):
            weights = [visibility[a, k] * visibility[b, k] for k in range(3)]
            apart = [math.dist(vectors[a, k], vectors[b, k]) for k in range(3)]
            expected = sum(w * d for w, d in zip(weights, apart, strict=True)) / sum(weights)
            assert found[a, b] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_locator_learns_from_the_rows_alone():
    layer = RegionLosses(margin=0.5)
    assert RegionLosses.from_config(layer.get_config()).margin == 0.5
    labels, kept = np.array([0, 0, 1, 1], "int32"), np.array([1.0, 0.5, 0.8, 1.0], "float32")
    rows = arrays(rows_of_regions(kept, 6, 3))
    right = 100.0 * np.eye(3, dtype="float32")[rows]
    vectors, visible = RNG.random((4, 3, 8)).astype("float32"), np.ones((4, 3), "float32")
    found = layer([RNG.random((4, 3, 2)).astype("float32"), right, vectors, visible, labels, kept])
    np.testing.assert_allclose(arrays(found["located"]), 0, atol=1e-5)
    assert {name: tuple(array.shape) for name, array in found.items()} == dict.fromkeys(found, (4,))
