import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gaaplib.datasets.keypoints import MIRRORED
from gaaplib.training.augmentation import BORDER, Augmentation

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


def without(**settings):
    return Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, **settings)


def test_later_augmentations_leave_the_generator_as_it_was():
    rngs = [np.random.default_rng(3) for _ in range(2)]
    without(erase=0.5)(picture(), rngs[0])
    without(erase=0.5, eraser="bot", pad_crop=4, jitter=0.2)(picture(), rngs[1])
    assert rngs[0].random() == rngs[1].random()


def test_pad_crop_moves_by_whole_pixels_and_fills_with_black():
    image, moves = picture(), set()
    for seed in range(60):
        found = without(pad_crop=3)(image, np.random.default_rng(seed))
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)))
        places = [
            (top, left)
            for top in range(7)
            for left in range(7)
            if np.array_equal(padded[top : top + 32, left : left + 16], found)
        ]
        assert len(places) == 1
        moves.add(places[0])
    assert {move[0] for move in moves} == {move[1] for move in moves} == set(range(7))


def test_the_eraser_of_bot_has_its_sizes_and_its_colour():
    image, shares, aspects = np.zeros((128, 64, 3), np.uint8), [], []
    for seed in range(200):
        erased = without(erase=1.0, eraser="bot")(image, np.random.default_rng(seed))
        filled = (erased == (152, 142, 127)).all(-1)
        assert (erased[~filled] == 0).all()
        rows, columns = filled.any(axis=1).sum(), filled.any(axis=0).sum()
        assert filled.sum() == rows * columns and rows < 128 and columns < 64
        shares.append(filled.mean())
        aspects.append(rows / columns)
    assert 0.015 < min(shares) < 0.05 and 0.33 < max(shares) < 0.41
    assert 0.25 < min(aspects) < 0.5 and 2.0 < max(aspects) < 3.8


def test_half_of_the_images_are_erased():
    image = picture()
    changed = [
        not np.array_equal(without(erase=0.5, eraser=kind)(image, np.random.default_rng(seed)), image)
        for kind in ("small", "bot", "cutout")
        for seed in range(200)
    ]
    assert 0.42 < np.mean(changed) < 0.58


def test_cutout_is_a_square_of_a_sixth_of_the_height():
    image = np.zeros((384, 128, 3), np.uint8)
    for seed in range(20):
        filled = (without(erase=1.0, eraser="cutout")(image, np.random.default_rng(seed)) > 0).all(-1)
        assert (filled.any(axis=1).sum(), filled.any(axis=0).sum(), filled.sum()) == (64, 64, 64 * 64)


def test_jitter_changes_brightness_contrast_and_saturation_within_its_share():
    grey = np.full((8, 8, 3), 100, np.uint8)
    levels = [int(without(jitter=0.2)(grey, np.random.default_rng(seed))[0, 0, 0]) for seed in range(100)]
    assert 80 <= min(levels) < 90 and 110 < max(levels) <= 120
    coloured = without(jitter=0.5)(picture(), np.random.default_rng(0))
    assert coloured.dtype == np.uint8 and not np.array_equal(coloured, picture())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eraser": "big"}, "eraser='big' is not known; known: small, bot, cutout"),
        ({"pad_crop": -1}, "pad_crop=-1: expected pixels from 0"),
        ({"jitter": 1.5}, "jitter=1.5: expected a share from 0 to 0.9"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        without(**settings)


@settings(max_examples=60, deadline=None)
@example(seed=1473, pads=True)
@given(seed=st.integers(0, 10_000), pads=st.booleans())
def test_key_points_stay_on_their_pixels(seed, pads):
    """A blob is drawn at a point; after the augmentation, it is where the point says, or outside of the image."""
    rng = np.random.default_rng(seed)
    left, right = MIRRORED.index(MIRRORED[5]), MIRRORED[5]
    x, y = rng.uniform(8, 56), rng.uniform(8, 120)
    image = np.zeros((128, 64, 3), np.uint8)
    rows, columns = np.mgrid[:128, :64] + 0.5
    image[np.hypot(columns - x, rows - y) < 5] = 255
    points = np.zeros((17, 3), "float32")
    points[left] = x, y, 0.8
    augmentation = Augmentation(shift_x=0.2, shift_y=0.2, zoom=0.2, crop=0.2, flip=0.5, pad_crop=6 if pads else 0)
    changed, moved = augmentation.with_beside(image, {"keypoints": points}, np.random.default_rng(seed + 1))
    white, moved = changed.astype(int).min(axis=2) > 200, moved["keypoints"]
    places = np.flatnonzero(moved[:, 2])
    assert len(places) <= 1 and set(places) <= {left, right}
    if len(places):
        px, py, confidence = moved[places[0]]
        assert confidence == np.float32(0.8) and 0 <= px < 64 and 0 <= py < 128
        found_y, found_x = (values.mean() + 0.5 for values in np.nonzero(white))
        inside = 8 < px < 56 and 8 < py < 120
        assert not inside or np.hypot(found_x - px, found_y - py) < 1.0
    else:
        # Half a blob may be left, at the edge of the frame; padding moves that edge inwards.
        edge = 9 + augmentation.pad_crop
        assert not white[edge:-edge, edge:-edge].any()
    # The picture is what it is without points.
    assert np.array_equal(changed, augmentation(image, np.random.default_rng(seed + 1)))


def test_a_flip_swaps_left_and_right():
    points = np.random.default_rng(0).uniform(5, 25, (17, 3)).astype("float32")
    flip = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, flip=1.0)
    _, beside = flip.with_beside(np.zeros((64, 32, 3), np.uint8), {"keypoints": points}, np.random.default_rng(0))
    moved = beside["keypoints"]
    np.testing.assert_allclose(moved[6], [32 - points[5, 0], *points[5, 1:]], rtol=1e-5)
    np.testing.assert_allclose(moved[0], [32 - points[0, 0], *points[0, 1:]], rtol=1e-5)


def test_erasing_leaves_key_points_as_they_were():
    points = np.random.default_rng(0).uniform(5, 25, (17, 3)).astype("float32")
    erase = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, erase=1.0, eraser="bot")
    beside = {"keypoints": points, "masks": np.full((64, 32), 255, np.uint8)}
    changed, moved = erase.with_beside(np.full((64, 32, 3), 9, np.uint8), beside, np.random.default_rng(0))
    np.testing.assert_allclose(moved["keypoints"], points, rtol=1e-6)
    assert (moved["masks"] == 255).all()
    assert (changed != 9).any()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), pads=st.booleans())
def test_a_mask_stays_on_its_pixels(seed, pads):
    rng = np.random.default_rng(seed)
    mask = np.zeros((48, 24), np.uint8)
    top, left = rng.integers(0, 30), rng.integers(0, 12)
    mask[top : top + 15, left : left + 10] = 255
    augmentation = Augmentation(shift_x=0.2, shift_y=0.2, zoom=0.2, crop=0.2, flip=0.5, pad_crop=6 if pads else 0)
    # Bright on the person and of the border's colour elsewhere, so that the image shows where the mask should be.
    image = np.where(mask[:, :, None] > 0, 255, np.array(BORDER, np.uint8)).astype(np.uint8)
    changed, beside = augmentation.with_beside(image, {"masks": mask}, np.random.default_rng(seed + 1))
    expected = np.clip((changed[:, :, 0].astype(float) - BORDER[0]) / (255 - BORDER[0]) * 255, 0, 255)
    assert beside["masks"].dtype == np.uint8 and np.abs(beside["masks"] - expected).max() < 4
    assert np.array_equal(changed, augmentation(image, np.random.default_rng(seed + 1)))
