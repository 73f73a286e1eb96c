import keras
import numpy as np
import pytest
from layer_checks import check_layer

from gaaplib.network.parts import stripes
from gaaplib.network.pose import PointMaps, visible_stripes, with_neck

RNG = np.random.default_rng(0)
POINTS = (RNG.random((3, 17, 3)) * [32, 96, 1]).astype("float32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


def make():
    return PointMaps(rows=6, columns=2, height=96, width=32, sigma=10.0)


def test_the_layer_passes_the_shared_check():
    check_layer(make, [POINTS], half=False)


def test_maps_are_gaussians_about_the_points():
    found = arrays(make()(POINTS))
    for image, row, column, point in [(0, 0, 0, 0), (1, 5, 1, 7), (2, 3, 0, 16), (0, 2, 1, 4)]:
        x, y, confidence = POINTS[image, point]
        squared = (x - 16 * (column + 0.5)) ** 2 + (y - 16 * (row + 0.5)) ** 2
        expected = np.exp(-squared / 200) if confidence > 0.2 else 0
        np.testing.assert_allclose(found[image, row, column, point], expected, rtol=1e-4, atol=1e-7)


def test_maps_of_an_image_without_points_are_ones():
    points = POINTS.copy()
    points[1, :, 2] = 0.1
    found = arrays(make()(points))
    assert (found[1] == 1).all() and found[0].max() <= 1 and (found[0] < 1).any()


def test_the_neck_is_between_the_shoulders():
    found = arrays(with_neck(POINTS))
    assert found.shape == (3, 18, 3)
    np.testing.assert_allclose(found[:, 17, :2], (POINTS[:, 5, :2] + POINTS[:, 6, :2]) / 2, rtol=1e-6)
    np.testing.assert_allclose(found[:, 17, 2], np.minimum(POINTS[:, 5, 2], POINTS[:, 6, 2]))


@pytest.mark.parametrize(("seen", "expected"), [(4, [1, 0, 1]), (2, [1, 1, 1]), (0, [1, 1, 1])])
def test_stripes_are_visible_if_they_show_a_point_or_there_are_few(seen, expected):
    points = np.zeros((1, 17, 3), "float32")
    points[0, :4] = [[3, 5, 1], [9, 31, 1], [9, 64, 1], [3, 95, 1]]
    points[0, seen:, 2] = 0
    # Three stripes of 32 pixels.
    assert arrays(visible_stripes(points, stripes(6, 3), 6, 96)).tolist() == [expected]
