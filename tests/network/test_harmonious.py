import keras
import numpy as np
import pytest

from gaaplib.network import harmonious
from gaaplib.network.harmonious import Bands

RNG = np.random.default_rng(0)


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_the_map_is_a_sixteenth_of_the_image_and_the_vector_has_four_bands():
    model = harmonious.network(160, 64)
    maps, local = model.output
    assert maps.shape == (None, 10, 4, 384) and local.shape == (None, 4 * 384)


@pytest.mark.parametrize("size", [(24, 28), (5, 3)])
def test_bands_are_sampled_as_pytorch_does(size):
    """`grid_sample` of torch, without aligned corners: places beyond the map are 0."""
    maps = RNG.random((2, 9, 7, 3)).astype("float32")
    centres = RNG.uniform(-1, 1, (2, 4, 2)).astype("float32")
    found = arrays(Bands(size)([maps, centres]))
    assert found.shape == (2, 4, *size, 3)
    padded = np.pad(maps, ((0, 0), (30, 30), (30, 30), (0, 0)))
    for image, band, row, column in [(0, 0, 0, 0), (1, 3, 2, 1), (0, 2, 4, 2), (1, 1, 3, 0)]:
        x = ((2 * column + 1) / size[1] - 1 + centres[image, band, 0] + 1) * 7 / 2 - 0.5
        y = (0.25 * ((2 * row + 1) / size[0] - 1) + centres[image, band, 1] + 1) * 9 / 2 - 0.5
        left, top = int(np.floor(x)), int(np.floor(y))
        corners = padded[image, top + 30 : top + 32, left + 30 : left + 32]
        across = corners[:, 0] * (1 - x + left) + corners[:, 1] * (x - left)
        expected = across[0] * (1 - y + top) + across[1] * (y - top)
        np.testing.assert_allclose(found[image, band, row, column], expected, rtol=1e-3, atol=1e-4)


def test_at_first_the_bands_are_the_quarters_from_top_to_bottom():
    maps = np.arange(8.0, dtype="float32")[None, :, None, None] * np.ones((1, 8, 4, 1), "float32")
    model = harmonious.network(64, 32)
    centres = next(layer for layer in model.layers if layer.name == "centres1")
    start = np.tanh(arrays(centres.bias)).reshape(4, 2)
    np.testing.assert_allclose(start[:, 1], np.tanh([-0.75, -0.25, 0.25, 0.75]), rtol=1e-6)
    np.testing.assert_allclose(start[:, 0], 0)
    found = arrays(Bands((2, 4))([maps, np.array([[[0.0, place] for place in (-0.75, -0.25, 0.25, 0.75)]], "float32")]))
    np.testing.assert_allclose(found[0, :, :, 1, 0], np.arange(8).reshape(4, 2), atol=1e-5)


def test_the_soft_attention_weighs_the_map():
    """The map of a stage lies between 0 and what it was."""
    model = harmonious.network(64, 32)
    by_name = {layer.name: layer for layer in model.layers}
    inner = keras.Model(model.input, [by_name["conv2_b_join"].output, by_name["conv2_out"].output])
    before, after = (arrays(part) for part in inner(RNG.integers(0, 256, (2, 64, 32, 3))))
    assert (after <= before).all() and (after >= 0).all() and after.max() > 0
