import keras
import numpy as np
import pytest

from gaaplib.network.pyramid import Foreground, finest, pyramid, shares_of_person

RNG = np.random.default_rng(0)


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("size", [(24, 8), (16, 8), (8, 4), (3, 1), (1, 1)])
def test_windows_are_the_maxima_of_every_second_place(size):
    maps = RNG.normal(size=(2, *size, 3)).astype("float32")
    expected, sizes = [], []
    for kernel in (2, 4, 6, 8):
        height, width = (min(kernel, side) for side in size)
        if (height, width) in sizes:
            continue
        sizes.append((height, width))
        for top in range(0, size[0] - height + 1, 2):
            for left in range(0, size[1] - width + 1, 2):
                expected.append(maps[:, top : top + height, left : left + width].max(axis=(1, 2)))
        if len(sizes) == 1:
            assert finest(*size) == len(expected)
    np.testing.assert_array_equal(arrays(pyramid(maps)), np.stack(expected, axis=1))


def test_a_map_of_24_x_8_has_110_windows():
    assert pyramid(keras.KerasTensor((None, 24, 8, 16))).shape == (None, 110, 16)


def test_weights_are_shares_and_the_feature_is_the_weighted_mean_of_the_smallest():
    windows = RNG.normal(size=(2, 5, 4)).astype("float32")
    layer = Foreground(smallest=3)
    weights, feature = (arrays(part) for part in layer(windows))
    scores = 1 / (1 + np.exp(-(windows @ arrays(layer.scores.kernel) + arrays(layer.scores.bias))))[:, :, 0]
    np.testing.assert_allclose(weights, scores / scores.sum(axis=1, keepdims=True), rtol=1e-5)
    for image in range(2):
        expected = np.average(windows[image, :3], axis=0, weights=scores[image, :3])
        np.testing.assert_allclose(feature[image], expected, rtol=1e-4, atol=1e-6)
    shapes = layer.compute_output_shape((2, 5, 4))
    assert shapes == (weights.shape, feature.shape)
    assert Foreground.from_config(layer.get_config()).smallest == 3


@pytest.mark.parametrize(("size", "map_size"), [((48, 16), (12, 4)), ((50, 18), (7, 3)), ((8, 8), (3, 2))])
def test_shares_of_the_person_are_means_over_windows_of_the_mask(size, map_size):
    masks = np.where(RNG.random((2, *size)) < 0.4, 255, 0).astype(np.uint8)
    # A mask whose pixels are repeated, so that each cell of the map covers whole ones.
    fine = np.repeat(np.repeat(masks / 255.0, map_size[0], axis=1), map_size[1], axis=2)
    cells = fine.reshape(2, map_size[0], size[0], map_size[1], size[1]).mean(axis=(2, 4))
    expected, sizes = [], []
    for kernel in (2, 4, 6, 8):
        height, width = (min(kernel, side) for side in map_size)
        if (height, width) not in sizes:
            sizes.append((height, width))
            for top in range(0, map_size[0] - height + 1, 2):
                for left in range(0, map_size[1] - width + 1, 2):
                    expected.append(cells[:, top : top + height, left : left + width].mean(axis=(1, 2)))
    found = arrays(shares_of_person(masks, *map_size))
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)
