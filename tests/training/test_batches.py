import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib.training.batches import SAMPLERS, Augmentation, Batches

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


LABELS = st.lists(st.integers(0, 6), min_size=8, max_size=60).map(np.array)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 1000))
def test_shuffled_takes_every_image_at_most_once(labels, seed):
    batches = SAMPLERS["shuffled"](labels, 8, 4, np.random.default_rng(seed))
    assert batches.shape == (len(labels) // 8, 8)
    assert len(np.unique(batches)) == batches.size


def test_shuffled_makes_a_small_batch_of_a_small_data_set():
    assert SAMPLERS["shuffled"](np.zeros(5), 8, 4, np.random.default_rng(0)).shape == (1, 5)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 1000))
def test_identity_balanced_has_p_identities_of_k_images(labels, seed):
    if len(np.unique(labels)) < 4:
        return
    batches = SAMPLERS["identity_balanced"](labels, 8, 2, np.random.default_rng(seed))
    assert batches.shape == (len(labels) // 8, 8)
    for batch in batches:
        identities, counts = np.unique(labels[batch], return_counts=True)
        assert len(identities) == 4
        assert (counts == 2).all()
    for identity in np.unique(labels):
        if (labels == identity).sum() >= 2:
            # An identity's images occur in turn: none a third time before all occurred once.
            places = batches[labels[batches] == identity]
            _, times = np.unique(places, return_counts=True)
            assert times.size == 0 or times.max() <= -(-places.size // (labels == identity).sum()) + 1


def test_identity_balanced_shows_identities_equally_often():
    labels = np.repeat(np.arange(6), [30, 5, 5, 5, 5, 30])
    batches = SAMPLERS["identity_balanced"](labels, 8, 4, np.random.default_rng(0))
    _, counts = np.unique(labels[batches], return_counts=True)
    assert counts.max() - counts.min() <= 4


def test_identity_balanced_names_what_does_not_fit():
    with pytest.raises(ValueError, match="batch_size=10"):
        SAMPLERS["identity_balanced"](np.arange(20), 10, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs 8 identities, but there are only 2"):
        SAMPLERS["identity_balanced"](np.arange(40) % 2, 32, 4, np.random.default_rng(0))


def make_batches(**changes):
    images = np.stack([picture(seed=place) for place in range(40)])
    arguments = {
        "rows": np.arange(40)[::-1],
        "labels": np.arange(40) % 5,
        "outputs": ("logits", "pooled"),
        "batch_size": 8,
        "batch_inputs": lambda labels, rng: {"draw": np.full(len(labels), -1 if rng is None else rng.integers(1000))},
        "sampler": "shuffled",
        "augmentation": Augmentation(),
    }
    return Batches(images, **{**arguments, **changes})


def test_a_batch_follows_from_seed_epoch_and_index_alone():
    one, two = make_batches(seed=3), make_batches(seed=3, epoch=5)
    one.start(4)
    one.on_epoch_end()
    # Batches requested in another order, from an object that starts at this epoch.
    found = {index: one[index] for index in (4, 0, 2)}
    for index, (inputs, targets) in found.items():
        expected_inputs, expected_targets = two[index]
        assert all(np.array_equal(inputs[name], expected_inputs[name]) for name in inputs)
        assert all(np.array_equal(targets[name], expected_targets[name]) for name in targets)
    assert not np.array_equal(make_batches(seed=4, epoch=1)[0][0]["images"], found[0][0]["images"])


def test_images_and_labels_stay_together():
    batches = make_batches(augmentation=None)
    for index in range(len(batches)):
        inputs, targets = batches[index]
        for image, label in zip(inputs["images"], targets["logits"], strict=True):
            row = next(r for r in range(40) if np.array_equal(image, picture(seed=r)))
            assert label == (39 - row) % 5
        assert np.array_equal(targets["logits"], targets["pooled"])


def test_validation_keeps_order_and_all_images_and_draws_nothing():
    batches = make_batches(sampler=None, augmentation=None, batch_size=16)
    labels = np.concatenate([batches[index][1]["logits"] for index in range(len(batches))])
    assert np.array_equal(labels, np.arange(40) % 5)
    assert (batches[0][0]["draw"] == -1).all()


def test_partnered_share_counts_images_with_company():
    alone = make_batches(rows=np.arange(8), labels=np.arange(8))
    assert alone.partnered_share() == 0.0
    pairs = make_batches(rows=np.arange(8), labels=np.array([0, 0, 1, 1, 2, 3, 4, 5]))
    assert pairs.partnered_share() == 0.5
    assert make_batches(sampler="identity_balanced", images_per_identity=2).partnered_share() == 1.0
