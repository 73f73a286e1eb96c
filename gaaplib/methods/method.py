"""What a method is: its networks, its losses, its batches, and how two images are compared."""

from dataclasses import dataclass

import keras
import numpy as np

from gaaplib import metrics


@dataclass(frozen=True)
class Round:
    """A stretch of training with fixed labels.

    Attributes:
        labels: (n,) integer label of each training image; images with a negative one are left out.
        epochs: how many epochs it lasts.
    """

    labels: np.ndarray
    epochs: int


class Method:
    """A way to learn and compare embeddings. A new method is a subclass in a file of its own, listed in ``METHODS``.

    A subclass says whether it ``learns`` (by default it does), and builds, in ``__init__``:

    - ``training_model``, if it learns: inputs ``{"images": (batch, height, width, 3), ...}``, with
      one more input for each array of :meth:`batch_inputs`; outputs a dict that has every key of :attr:`losses`.
    - ``model``: the same layers for inference, from images (batch, height, width, 3) to a dict of outputs. By default
      ``"embedding"`` (batch, features) and ``"logits"`` (batch, identities) are read; a method that overrides
      :meth:`retrieval_scores` may answer part embeddings, visibilities or whatever it compares.
    - ``losses``: ``{output: (loss, weight)}``; each loss is called with the labels and that output.

    Args:
        config: the RunConfig; methods read their settings from it.
        num_classes: identities to train on.
    """

    learns = True
    training_model: keras.Model
    model: keras.Model
    losses: dict

    def __init__(self, config, num_classes):
        self.config = config
        self.num_classes = num_classes

    def batch_inputs(self, labels, rng):
        """Further inputs of the training model for a batch: a dict of arrays (batch, ...).

        Args:
            labels: (batch,) labels of the images.
            rng: numpy generator of this batch; None in validation, where nothing may depend on the labels.
        """
        return {}

    def rounds(self, labels, embed):
        """The rounds of training, lazily. Supervised methods have one; a clustering method yields many.

        Args:
            labels: (n,) identity of each training image.
            embed: a function without arguments that gives the current outputs of ``model`` for all of them.
        """
        yield Round(labels, self.config.epochs)

    def class_scores(self, outputs):
        """Scores of the closed protocol: (images, identities), the larger the likelier; None: it has none."""
        return outputs["logits"]

    def retrieval_scores(self, query, gallery, **protocol):
        """Scores of the retrieval protocol from the outputs of ``model`` on queries and gallery.

        Args:
            query, gallery: dicts of arrays, as ``model`` answers them.
            protocol: the remaining arguments of :func:`gaaplib.metrics.evaluate_embeddings`.
        """
        return metrics.evaluate_embeddings(
            query["embedding"], gallery["embedding"], metric=self.config.distance, **protocol
        )
