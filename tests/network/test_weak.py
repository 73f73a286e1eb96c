import keras
import numpy as np
from layer_checks import gradient

from gaaplib.network.weak import BagLosses

RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 2, 1, 4, 1, 0, 3, 3, 4, 4], "int32")  # three bags of four
LOGITS = RNG.normal(size=(12, 6)).astype("float32")
VECTORS = RNG.normal(size=(12, 5)).astype("float32")


def losses(logits=LOGITS, vectors=VECTORS, labels=LABELS):
    found = BagLosses(4)([logits, vectors, labels], training=True)
    return {name: keras.ops.convert_to_numpy(values) for name, values in found.items()}


def test_losses_equal_their_definition():
    bags = [range(first, first + 4) for first in (0, 4, 8)]
    inside, outside, apart = [], [], []
    for bag in bags:
        for identity in range(6):
            highest = max(LOGITS[image, identity] for image in bag)
            loss = np.log1p(np.exp(highest))
            (inside if identity in LABELS[bag] else outside).append(loss - highest * (identity in LABELS[bag]))
    for one in bags:
        for other in bags:
            for identity in set(LABELS[one]) & set(LABELS[other]) if one != other else ():
                pair = [max(bag, key=lambda image: LOGITS[image, identity]) for bag in (one, other)]
                units = [VECTORS[image] / np.linalg.norm(VECTORS[image]) for image in pair]
                apart.append(((units[0] - units[1]) ** 2).sum())
    found = losses()
    np.testing.assert_allclose(found["present"], np.mean(inside) + np.mean(outside), rtol=1e-4)
    np.testing.assert_allclose(found["aligned"], np.mean(apart), rtol=1e-4)


def test_who_is_on_which_image_of_a_bag_does_not_matter():
    shuffled = np.concatenate([RNG.permutation(LABELS[first : first + 4]) for first in (0, 4, 8)])
    assert not np.array_equal(shuffled, LABELS)
    for name, values in losses(labels=shuffled).items():
        np.testing.assert_allclose(values, losses()[name], rtol=1e-6)


def test_without_a_common_identity_nothing_is_aligned():
    found = losses(labels=np.repeat(np.arange(3, dtype="int32"), 4))
    assert not found["aligned"].any() and found["present"].all()


def test_both_losses_have_gradients():
    layer, total = BagLosses(4), keras.ops.sum
    of_logits = gradient(lambda array: total(layer([array, VECTORS, LABELS], training=True)["present"]), LOGITS)
    of_vectors = gradient(lambda array: total(layer([LOGITS, array, LABELS], training=True)["aligned"]), VECTORS)
    assert np.abs(of_logits).max() > 0 and np.abs(of_vectors).max() > 0 and np.isfinite(of_vectors).all()


def test_beyond_training_each_image_is_a_bag_of_its_own():
    found = BagLosses(4)([LOGITS[:5], VECTORS[:5], LABELS[:5]])
    alone = BagLosses(1)([LOGITS[:5], VECTORS[:5], LABELS[:5]], training=True)
    for name in found:
        np.testing.assert_allclose(found[name], alone[name], rtol=1e-6)


def test_images_that_make_no_whole_bag_are_left_out():
    found, whole = losses(LOGITS[:10], VECTORS[:10], LABELS[:10]), losses(LOGITS[:8], VECTORS[:8], LABELS[:8])
    for name in found:
        assert len(found[name]) == 10 and len(whole[name]) == 8
        np.testing.assert_allclose(found[name][0], whole[name][0], rtol=1e-6)
