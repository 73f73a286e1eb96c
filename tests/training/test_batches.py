import numpy as np

from gaaplib.training.augmentation import Augmentation
from gaaplib.training.batches import Batches
from gaaplib.training.samplers import SAMPLERS


def picture(height=32, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


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


def test_every_epoch_has_as_many_batches_as_the_first():
    """Chunks give a number of batches that depends on the draws; Keras would run out of them within an epoch."""
    labels = np.repeat(np.arange(6), [14, 10, 6, 4, 4, 2])
    settings = {"labels": labels, "sampler": "chunks", "images_per_identity": 2}
    drawn = {len(SAMPLERS["chunks"](labels, 8, 2, np.random.default_rng([0, epoch]))) for epoch in range(20)}
    assert len(drawn) > 1
    batches = make_batches(**settings)
    first = batches.batches.copy()
    for epoch in range(20):
        batches.start(epoch)
        assert len(batches) == len(first)
    batches.start(0)
    assert np.array_equal(batches.batches, first)
    # Also if training is resumed at a later epoch.
    assert len(make_batches(**settings, epoch=7)) == len(first)
