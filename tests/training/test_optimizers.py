import keras
import numpy as np
import pytest

from gaaplib.config import RunConfig
from gaaplib.training.optimizers import EpochSteps, optimizer_of


def config(**changes):
    return RunConfig("smoke", **{"schedule": "constant", "learning_rate": 0.1, **changes})


def stepped(settings, gradients, slow=()):
    """The values of two weights, 1 and 2, after some steps; ``slow`` are the numbers of those in the slow group."""
    weights = [keras.Variable(np.array([value], "float32")) for value in (1.0, 2.0)]
    optimizer = optimizer_of(settings, 10, 5, [weights[number] for number in slow])
    optimizer.build(weights)
    for gradient in gradients:
        optimizer.apply([np.array([gradient], "float32") for _ in weights], weights)
    return [float(weight[0]) for weight in weights]


def nesterov(weight, gradients, rate, momentum, decay):
    """PyTorch's SGD with nesterov=True, one number at a time."""
    velocity = 0.0
    for gradient in gradients:
        gradient = gradient + decay * weight
        velocity = momentum * velocity + gradient
        weight = weight - rate * (gradient + momentum * velocity)
    return weight


def adam(weight, gradients, rate, decay, beta_1=0.9, beta_2=0.999):
    """PyTorch's Adam with weight_decay, one number at a time."""
    mean = square = 0.0
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + decay * weight
        mean, square = beta_1 * mean + (1 - beta_1) * gradient, beta_2 * square + (1 - beta_2) * gradient**2
        weight = weight - rate * (mean / (1 - beta_1**step)) / ((square / (1 - beta_2**step)) ** 0.5 + 1e-8)
    return weight


GRADIENTS = [0.5, -0.2, 0.3, 0.1]


@pytest.mark.parametrize("momentum", [0.9, 0.5, 0.0])
@pytest.mark.parametrize("decay", [0.0, 5e-2])
def test_sgd_equals_the_oracle(momentum, decay):
    settings = config(optimizer="sgd", momentum=momentum, weight_decay=decay)
    found = stepped(settings, GRADIENTS)
    assert found == pytest.approx(
        [nesterov(weight, GRADIENTS, 0.1, momentum, decay) for weight in (1.0, 2.0)], rel=1e-5
    )


@pytest.mark.parametrize("decay", [0.0, 5e-2])
def test_adam_equals_the_oracle(decay):
    found = stepped(config(weight_decay=decay), GRADIENTS)
    assert found == pytest.approx([adam(weight, GRADIENTS, 0.1, decay) for weight in (1.0, 2.0)], rel=1e-4)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_the_backbone_has_a_rate_of_its_own(kind):
    fast, slow = stepped(config(optimizer=kind, backbone_rate=0.1), GRADIENTS, slow=[1])
    oracle = (
        (lambda w, r: nesterov(w, GRADIENTS, r, 0.9, 0.0)) if kind == "sgd" else lambda w, r: adam(w, GRADIENTS, r, 0)
    )
    assert [fast, slow] == pytest.approx([oracle(1.0, 0.1), oracle(2.0, 0.01)], rel=1e-4)
    still = stepped(config(optimizer=kind, backbone_rate=0.0), GRADIENTS, slow=[1])
    assert still[1] == 2.0


def test_the_rates_of_bot():
    """0.01 + 0.99 t / 10 in the first ten epochs, a tenth from 40 and a hundredth from 70 on."""
    schedule = EpochSteps(3.5e-4, steps=7, epochs=(40, 70), warmup=10)
    for epoch in range(1, 121):
        expected = 3.5e-4 * (0.01 + 0.99 * epoch / 10 if epoch < 10 else 1) * 0.1 ** ((epoch >= 40) + (epoch >= 70))
        for step in (7 * (epoch - 1), 7 * epoch - 1):
            assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)
    clone = EpochSteps.from_config(schedule.get_config())
    assert float(clone(300)) == float(schedule(300))


def test_a_run_has_the_schedule_of_its_settings():
    optimizer = optimizer_of(config(schedule="steps", steps="2 4", warmup_epochs=0), 10, 5)
    assert [round(float(optimizer._learning_rate(step)), 6) for step in (0, 9, 10, 30)] == [0.1, 0.1, 0.01, 0.001]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "steps"}, "steps=None with schedule='steps': each needs the other"),
        ({"schedule": "cosine", "steps": "4"}, "steps='4' with schedule='cosine'"),
        ({"schedule": "steps", "steps": "70 40"}, "expected rising epochs from 2, such as '40 70'"),
        ({"schedule": "steps", "steps": "4, 7"}, "steps='4, 7': expected rising epochs"),
        ({"schedule": "steps", "steps": "1 7"}, "expected rising epochs from 2"),
        (
            {"schedule": "constant", "warmup_epochs": 2},
            "warmup_epochs=2 with schedule='constant', which has no warm-up",
        ),
        ({"schedule": "plateau", "warmup_epochs": 2}, "warmup_epochs=2 with schedule='plateau', which has no warm-up"),
    ],
)
def test_what_a_schedule_does_not_have_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_a_given_schedule_leaves_out_what_it_does_not_have():
    modern, bot = RunConfig("modern", schedule="constant"), RunConfig("own", method="bot", schedule="cosine")
    assert RunConfig("modern").warmup_epochs == 10 and modern.warmup_epochs == 0
    assert (bot.steps, bot.warmup_epochs) == (None, 10)
    assert RunConfig(**modern.to_dict()) == modern
