import numpy as np
import pytest

from gaaplib.training.augmentation import Augmentation

NONE = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0)


def picture(height=32, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_augmentation_off_is_the_image_itself():
    assert np.array_equal(NONE(picture(), np.random.default_rng(0)), picture())


def test_augmentation_follows_its_generator():
    augment = Augmentation(flip=0.5, erase=0.5)
    one, two = (augment(picture(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, augment(picture(), np.random.default_rng(6)))


def test_flip_mirrors():
    augment = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, flip=1.0)
    assert np.array_equal(augment(picture(), np.random.default_rng(0)), picture()[:, ::-1])


def test_erase_blanks_two_to_twenty_percent():
    augment = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, erase=1.0)
    black = np.zeros((128, 64, 3), np.uint8)
    shares = [(augment(black, np.random.default_rng(s)) > 0).all(-1).mean() for s in range(50)]
    assert 0.01 < min(shares) < max(shares) <= 0.2


@pytest.mark.parametrize(("setting", "axis"), [("shift_x", 1), ("shift_y", 0)])
def test_a_shift_moves_along_its_axis_and_no_further_than_told(setting, axis):
    image = np.zeros((100, 100, 3), np.uint8)
    image[45:55, 45:55] = 255
    augment = Augmentation(**{"shift_x": 0, "shift_y": 0, "zoom": 0, "crop": 0, setting: 0.2})
    moves = []
    for seed in range(40):
        bright = np.argwhere(augment(image, np.random.default_rng(seed))[..., 0] > 127)
        centre = bright.mean(axis=0)
        moves.append(centre[axis] - 49.5)
        assert abs(centre[1 - axis] - 49.5) < 0.6
    assert 12 < np.abs(moves).max() <= 20.6
    assert min(moves) < 0 < max(moves)


@pytest.mark.parametrize(("setting", "low", "high"), [("zoom", 0.7, 1.35), ("crop", 0.99, 1.35)])
def test_zoom_goes_both_ways_and_crop_only_enlarges(setting, low, high):
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 40:60] = 255
    augment = Augmentation(**{"shift_x": 0, "shift_y": 0, "zoom": 0, "crop": 0, setting: 0.25})
    sizes = []
    for seed in range(60):
        bright = augment(image, np.random.default_rng(seed))[..., 0] > 127
        sizes.append(bright.any(axis=1).sum() / 20)
    assert low <= min(sizes) < max(sizes) <= high
    assert max(sizes) > 1.2
    assert (min(sizes) < 0.9) == (setting == "zoom")


def test_augmentation_names_a_wrong_share():
    with pytest.raises(ValueError, match="zoom=1.5"):
        Augmentation(zoom=1.5)
