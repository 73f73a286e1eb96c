"""Batches of stored images for ``fit``, in the form that Keras takes."""

import keras
import numpy as np

from gaaplib.datasets.inputs import Inputs, pixels
from gaaplib.training.samplers import SAMPLERS


class Batches(keras.utils.PyDataset):
    """Batches of images for ``fit``: ``({"images": ..., **extra}, {output: labels})``.

    All random numbers in batch b of epoch e depend only on (seed, e, b), so a run can be repeated, or resumed at any
    epoch, with identical batches.

    Args:
        images: uint8 (n, height, width, 3), such as the memory map of a store; or
            :class:`gaaplib.datasets.inputs.Inputs`. What is beside them moves with the augmented images.
        rows: (m,) indices of the images to use.
        labels: (m,) integer labels from 0, one per row.
        outputs: names of the model's outputs; each gets the labels as its target.
        batch_size: images per batch.
        sampler: a key of ``SAMPLERS``, or None for all images in the given order (validation).
        drawn_by: (m,) integers by which the sampler draws; None: the labels.
        images_per_identity: K of P x K batches.
        augmentation: an :class:`gaaplib.training.augmentation.Augmentation`, or None.
        views: names under which each image of a batch is there, each time augmented anew.
        batch_inputs: ``f(labels, rng)`` that returns a dict of further input arrays for a batch.
        seed: seed of the run.
        epoch: number of the first epoch.
    """

    def __init__(
        self,
        images,
        rows,
        labels,
        outputs,
        batch_size,
        *,
        batch_inputs,
        sampler=None,
        drawn_by=None,
        images_per_identity=4,
        augmentation=None,
        views=("images",),
        seed=0,
        epoch=0,
    ):
        # With one worker, Keras would prefetch through tf.data, whose iterator takes seconds to close at the end of
        # some epochs. The order of the batches is the same.
        super().__init__(workers=2, max_queue_size=8)
        self.images = images
        self.rows = np.asarray(rows)
        self.labels = np.asarray(labels)
        self.outputs = tuple(outputs)
        self.batch_size = batch_size
        self.sampler = sampler
        self.drawn_by = self.labels if drawn_by is None else np.asarray(drawn_by)
        self.images_per_identity = images_per_identity
        self.augmentation = augmentation
        self.views = views
        self.batch_inputs = batch_inputs
        self.seed = seed
        self.length = None if sampler is None else len(self._sampled(np.random.default_rng([seed, 0])))
        self.start(epoch)

    def start(self, epoch):
        """Prepare the batches of an epoch, counted from 0."""
        self.epoch = epoch
        if self.sampler is None:
            starts = range(0, len(self.rows), self.batch_size)
            self.batches = [np.arange(s, min(s + self.batch_size, len(self.rows))) for s in starts]
        else:
            rng = np.random.default_rng([self.seed, self.epoch])
            batches = self._sampled(rng)
            # Keras counts an epoch's batches once, in the first epoch; a sampler may give more or fewer in another.
            while len(batches) < self.length:
                batches = np.concatenate([batches, self._sampled(rng)])
            self.batches = batches[: self.length]

    def _sampled(self, rng):
        return SAMPLERS[self.sampler](self.drawn_by, self.batch_size, self.images_per_identity, rng)

    def partnered_share(self):
        """Share of this epoch's images that have another image of their identity in the same batch."""
        partnered = total = 0
        for positions in self.batches:
            _, counts = np.unique(self.labels[positions], return_counts=True)
            partnered += counts[counts > 1].sum()
            total += len(positions)
        return partnered / total

    def on_epoch_end(self):
        self.start(self.epoch + 1)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        positions = self.batches[index]
        rng = None if self.sampler is None else np.random.default_rng([self.seed, self.epoch, index])
        # Read in rising order, which is fast with a memory map, and put into the batch's order.
        order = np.argsort(self.rows[positions], kind="stable")
        found = self.images[self.rows[positions[order]]][np.argsort(order)]
        seen = {}
        for name in self.views:
            seen |= self._augmented(found, rng, name)
        labels = self.labels[positions].astype("int32")
        inputs = {**seen, **self.batch_inputs(labels, rng)}
        return inputs, {name: labels for name in self.outputs}

    def _augmented(self, found, rng, name):
        """Images under a name, and what is beside them under its own."""
        beside, images = dict(found.beside) if isinstance(found, Inputs) else {}, pixels(found)
        if self.augmentation is None:
            return {name: images, **beside}
        own = [{key: array[index] for key, array in beside.items()} for index in range(len(images))]
        pairs = [self.augmentation.with_beside(image, its, rng) for image, its in zip(images, own, strict=True)]
        moved = {key: np.stack([its[key] for _, its in pairs]) for key in beside}
        return {name: np.stack([image for image, _ in pairs]), **moved}
