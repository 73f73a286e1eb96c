"""Optimisers and learning rates of a training, as a configuration names them."""

import keras
from keras import ops

from gaaplib.network import layers


class _Grouped:
    """Weight decay as in PyTorch, and lower rates of some weights, before an optimiser's own update.

    ``decay`` times a weight is added to its gradient, also for biases and normalisations: that is an L2 penalty, which
    Adam's moments see. Keras' own ``weight_decay`` is the decoupled one of AdamW.
    """

    def __init__(self, *arguments, decay, slow, rate, **keywords):
        super().__init__(*arguments, **keywords)
        self._decay = decay
        self._slow = {id(variable) for variable in slow}
        self._rate = rate

    def build(self, variables):
        super().build(variables)
        self._factors = [self._rate if id(variable) in self._slow else 1.0 for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        if self._decay:
            gradient = gradient + ops.cast(self._decay * ops.convert_to_tensor(variable), gradient.dtype)
        # Not by the variable itself: a backend may pass its own kind.
        factor = self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)


class Adam(_Grouped, layers.Adam):
    """Adam with L2 weight decay and rates by group."""


class Sgd(_Grouped, keras.optimizers.SGD):
    """SGD with Nesterov momentum, L2 weight decay and rates by group."""


class EpochSteps(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls at given epochs after a linear warm-up, as BoT and AGW have it.

    The rate is constant within an epoch t, counted from 1. It is ``rate * (0.01 + 0.99 t / warmup)`` while t is below
    ``warmup``, and from each of ``epochs`` on it is multiplied once more by ``factor``.

    Args:
        rate: the highest.
        steps: batches in an epoch.
        epochs: from which on the rate is lower, counted from 1.
        factor: above 0.
        warmup: epochs of the warm-up.

    Example:
        >>> schedule = EpochSteps(1.0, steps=10, epochs=(4, 6), factor=0.1, warmup=2)
        >>> [round(float(schedule(10 * epoch)), 3) for epoch in range(6)]
        [0.505, 1.0, 1.0, 0.1, 0.1, 0.01]
    """

    def __init__(self, rate, steps, epochs=(), factor=0.1, warmup=0):
        super().__init__()
        self.rate = rate
        self.steps = steps
        self.epochs = tuple(epochs)
        self.factor = factor
        self.warmup = warmup

    def __call__(self, step):
        epoch = ops.floor(ops.cast(step, "float32") / self.steps) + 1.0
        rate = ops.cast(self.rate, "float32")
        if self.warmup:
            rate = rate * ops.where(epoch < self.warmup, 0.01 + 0.99 * epoch / self.warmup, 1.0)
        for first in self.epochs:
            rate = rate * ops.where(epoch >= first, self.factor, 1.0)
        return rate

    def get_config(self):
        return {name: getattr(self, name) for name in ("rate", "steps", "epochs", "factor", "warmup")}


def optimizer_of(config, steps, epochs, slow=(), begun=0):
    """The optimiser of a round of training, with a configuration's settings.

    Every round begins with the whole rate, of whatever schedule.

    Args:
        config: a :class:`gaaplib.config.RunConfig`.
        steps: batches in an epoch.
        epochs: of the round.
        slow: variables with ``backbone_rate`` times the rate of the others.
        begun: epochs of the training before the round, which count in ``steps`` of the configuration.
    """
    rate = _rate(config, steps, epochs, begun)
    grouped = {"decay": config.weight_decay, "slow": slow, "rate": config.backbone_rate}
    if config.optimizer == "sgd":
        return Sgd(rate, momentum=config.momentum, nesterov=config.momentum > 0, **grouped)
    if config.weight_decay or config.backbone_rate != 1.0:
        return Adam(rate, beta_1=config.beta_1, **grouped)
    return layers.Adam(rate, beta_1=config.beta_1)


def _rate(config, steps, epochs, begun):
    """A number or a schedule; on a plateau, a callback changes the number."""
    rate = config.learning_rate
    if config.schedule == "steps":
        falls = [fall - begun for fall in config.falls() if fall > begun]
        return EpochSteps(rate, steps, falls, config.step_factor, config.warmup_epochs)
    if config.schedule != "cosine":
        return rate
    warmup = config.warmup_epochs * steps
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else rate,
        max(1, epochs * steps - warmup),
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
