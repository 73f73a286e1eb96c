"""The base class of methods: networks, losses, inputs of a batch, and the comparison of two images."""

from dataclasses import dataclass

import keras
import numpy as np

from gaaplib import metrics, options
from gaaplib.distances import EmbeddingDistances


def share_of_epochs(epochs, number, rounds):
    """The epochs of a round if all rounds have as many, or one more.

    Example:
        >>> [share_of_epochs(7, number, rounds=3) for number in range(3)]
        [2, 2, 3]
    """
    return epochs * (number + 1) // rounds - epochs * number // rounds


@dataclass(frozen=True)
class Round:
    """A number of epochs of training with fixed labels.

    Attributes:
        labels: (n,) integer label of each training image; images with a negative label are left out.
        epochs: number of epochs.
    """

    labels: np.ndarray
    epochs: int


class Method:
    """A way to learn and compare embeddings. A new method is a subclass in its own file, listed in ``METHODS``.

    A subclass sets ``learns`` (True by default) and builds in ``__init__``:

    - ``training_model``, if it learns: inputs ``{"images": (batch, height, width, 3), ...}``, with one more input for
      each array of :meth:`batch_inputs`; outputs are a dict with every key of :attr:`losses`.
    - ``model``: the same layers for inference, from images (batch, height, width, 3) to a dict of outputs, with
      ``"embedding"`` (batch, features) and, for the closed protocol, ``"logits"`` (batch, identities).
    - ``OPTIONS`` and ``DEFAULTS``, in its file, if it has any: literal dicts of settings that are its own
      (``self.options``), and of values that settings of :class:`gaaplib.config.RunConfig` have unless others are given.
      ``RECIPE``, likewise: the training of its paper. ``LIMITS``: for an option the lowest and the highest number, or
      the words that it may be. ``ONLY``: settings of a run that the method does not use, or of which it has its own,
      each with the only value that it may have. The name of another method in their place stands for its dict.
      ``START``, if the method adapts to the data set of a run from a supervised training on ``train_dataset``: the
      settings of that run, such as its method.
    - ``compared``: the outputs of ``model`` that are compared in retrieval, ``("embedding",)`` by default. A method
      with others overrides :meth:`distances`. The embedding is wanted in any case: heat maps and exports are of it.
    - ``supervised``: whether it learns from identities (True by default); otherwise it labels images in
      :meth:`next_round`, and there are no validation images.
    - ``views``: inputs of ``training_model`` that are the images of a batch, each augmented anew: ``("images",)`` by
      default.
    - ``has_maps``: whether there are heat maps of its model (True by default), which need the layers of our networks.
    - ``losses``: ``{output: (loss, weight)}``; each loss is called with the labels and that output.

    Args:
        config: the RunConfig with the method's settings.
        num_classes: number of identities to train on.
    """

    learns = True
    supervised = True
    views = ("images",)
    has_maps = True
    compared = ("embedding",)
    training_model: keras.Model
    model: keras.Model
    losses: dict

    def __init__(self, config, num_classes):
        self.config = config
        self.options = options.parsed(config.method, config.options)
        self.num_classes = num_classes

    @property
    def slow_weights(self):
        """Weights that learn with ``backbone_rate`` times the rate of the others: those of the backbone."""
        return []

    def batch_inputs(self, labels, rng):
        """Further inputs of the training model for a batch: a dict of arrays (batch, ...).

        Args:
            labels: (batch,) labels of the images.
            rng: numpy generator of this batch; None in validation, where no output may depend on the labels.
        """
        return {}

    def start_from(self, files):
        """Take the backbones of runs on another data set; only a method with ``START`` in its file is asked to.

        Args:
            files: ``model.keras`` of each of :meth:`gaaplib.config.RunConfig.starts`.
        """
        raise NotImplementedError

    def given(self, table):
        """Take note of the training images, before the training: their rows of the data's table."""

    def drawn_by(self, labels):
        """What the sampler draws by, (n,) integers: the labels of the training images, or groups of another kind."""
        return labels

    def next_round(self, number, labels, embed):
        """The next round of training, a :class:`Round`; None: the training is over.

        Each round is compiled anew, so it has its own optimiser, and begins with the whole learning rate; epochs of
        ``steps`` count over all rounds. Supervised methods have one round; a clustering method may have many. A
        training that is resumed takes the labels of its round from the checkpoint, so nothing but the weights and
        ``number`` may be remembered from one round to the next.

        Args:
            number: of the round, from 0.
            labels: (n,) identity of each training image; None unless the method is ``supervised``.
            embed: a function of a model, such as ``self.model``, that returns its outputs for all training images.
        """
        return None if number else Round(labels, self.config.epochs)

    def begin(self, number):
        """Prepare the networks for a round, before it is compiled: what learns in it, and by which losses.

        It is called for each round, also for the one in which a training is resumed.
        """

    def save(self, folder):
        """Save the model in a run's folder, where :meth:`gaaplib.runs.Run.model` finds it."""
        self.model.save(folder / "model.keras")

    def class_scores(self, outputs):
        """Class scores for the closed protocol, (images, identities), higher is more likely; None if there are none."""
        return outputs["logits"]

    @staticmethod
    def distances(query, gallery, metric, model=None):
        """The :class:`gaaplib.distances.EmbeddingDistances` of queries and gallery, by which everything ranks.

        Args:
            query, gallery: dicts of the arrays named in ``compared``, as returned by ``model``.
            metric: ``distance`` of the configuration.
            model: the model that they come from, for a method whose model compares them as well.
        """
        return EmbeddingDistances(query["embedding"], gallery["embedding"], metric)

    @staticmethod
    def comparison(metric):
        """How :meth:`distances` compares, in words, for whoever uses an exported model without this package."""
        return f"embeddings, by the {metric} distance"

    def retrieval_scores(self, query, gallery, **protocol):
        """Scores of the retrieval protocol from the outputs of ``model`` for queries and gallery.

        Args:
            query, gallery: as for :meth:`distances`.
            protocol: the other arguments of :func:`gaaplib.metrics.evaluate_distances`.
        """
        return metrics.evaluate_distances(self.distances(query, gallery, self.config.distance, self.model), **protocol)
