import keras
import numpy as np
import pytest
from layer_checks import gradient
from scipy.special import log_softmax, softmax

from gaaplib.network.experts import ExpertLosses, Follow
from tests.oracles import losses as slow

RNG = np.random.default_rng(0)
LABELS = np.array([0, 0, 1, 1, 2, 2], "int32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("most", [0.999, 0.5])
def test_a_teacher_is_the_mean_of_its_student_and_forgets_later(most):
    student, teacher = (keras.Variable(np.full(3, value, "float32")) for value in (0.0, 7.0))
    layer, seen = Follow([(student, teacher)], most=most), []
    expected = None
    for step in range(5):
        value = RNG.normal(size=3).astype("float32")
        student.assign(value)
        seen.append(value)
        assert layer([np.ones((2, 1))], training=True)[0].shape == (2, 1)
        kept = min(1 - 1 / (step + 1), most)
        expected = value if step == 0 else kept * expected + (1 - kept) * value
        np.testing.assert_allclose(arrays(teacher), expected, rtol=1e-5)
    if most > 0.9:
        np.testing.assert_allclose(arrays(teacher), np.mean(seen, axis=0), rtol=1e-5, atol=1e-6)


def test_a_teacher_stays_at_inference():
    student, teacher = (keras.Variable(np.full(3, value, "float32")) for value in (0.0, 7.0))
    layer = Follow([(student, teacher)])
    layer([np.ones((2, 1))])
    assert (arrays(teacher) == 7.0).all() and layer.trainable_weights == []


def made(experts=3):
    shapes = [(6, 4)] * experts + [(6, 5)] * experts
    return [RNG.normal(size=shape).astype("float32") for _ in range(2) for shape in shapes]


def test_the_losses_equal_their_definition():
    experts, inputs = 3, made()
    layer = ExpertLosses(experts, label_smoothing=0.1)
    layer.build([None])
    authority = np.array([0.5, 1.5, 1.0])
    layer.authority.assign(authority)
    found = {name: float(arrays(values).mean()) for name, values in layer([LABELS, *inputs]).items()}
    logits, pooled, taught, taught_pooled = (inputs[first : first + 3] for first in (0, 3, 6, 9))
    expected = dict.fromkeys(found, 0.0)
    for j in range(experts):
        apart = np.linalg.norm(pooled[j][:, None] - pooled[j][None], axis=2)
        expected["identified"] += slow.cross_entropy(LABELS, logits[j], 0.1)
        for image in range(6):
            same = LABELS[image] == LABELS
            positive = max((n for n in range(6) if same[n] and n != image), key=lambda n: apart[image, n])
            negative = min((n for n in range(6) if not same[n]), key=lambda n: apart[image, n])
            own = np.array([apart[image, positive], apart[image, negative]])
            expected["compared"] += np.log1p(np.exp(own[0] - own[1])) / 6
            for i in set(range(experts)) - {j}:
                theirs = np.linalg.norm(taught_pooled[i][image] - taught_pooled[i][[positive, negative]], axis=1)
                weight = authority[i] / 2 / 6
                expected["taught"] -= weight * (softmax(taught[i][image]) * log_softmax(logits[j][image])).sum()
                expected["taught_to_compare"] -= weight * (softmax(theirs) * log_softmax(own)).sum()
    assert found == pytest.approx(expected, rel=1e-4)


def test_teachers_get_no_gradient():
    inputs, layer = made(2), ExpertLosses(2)

    def total(changed, place):
        given = [*inputs[:place], changed, *inputs[place + 1 :]]
        # Without the last term, some backends give no gradient instead of 0.
        return sum(keras.ops.sum(values) for values in layer([LABELS, *given]).values()) + 0.0 * keras.ops.sum(changed)

    for place in range(8):
        found = gradient(lambda array, place=place: total(array, place), inputs[place])
        # The first four are the students'.
        assert (np.abs(found).max() > 0) == (place < 4)
