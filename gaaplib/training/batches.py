"""Batches of stored images for ``fit``: augmentation, samplers and the data set class :class:`Batches`."""

from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from gaaplib.datasets.images import BORDER


@dataclass(frozen=True)
class Augmentation:
    """The paper's four augmentations and two common ones, with random parameters for each image.

    Attributes:
        shift_x, shift_y: largest shift, as a share of width and of height.
        zoom: largest change of size, as a share; in or out, about the centre.
        crop: largest share of height and width that is cropped, at a random position; the rest is enlarged again.
        flip: probability of a horizontal flip (not in the paper).
        erase: probability that a random rectangle of 2-20 % of the image is blanked (Zhong et al. 2020; not in the
            paper).

    Raises:
        ValueError: a share or probability out of range.

    Example:
        >>> image = np.zeros((2, 4, 3), "uint8")
        >>> image[:, 0] = 255  # a white left edge
        >>> flip = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, flip=1.0)
        >>> print(flip(image, np.random.default_rng(0))[:, :, 0])
        [[  0   0   0 255]
         [  0   0   0 255]]
    """

    shift_x: float = 0.1
    shift_y: float = 0.1
    zoom: float = 0.1
    crop: float = 0.1
    flip: float = 0.0
    erase: float = 0.0

    def __post_init__(self):
        for name, value in vars(self).items():
            top = 1.0 if name in ("flip", "erase") else 0.9
            if not 0.0 <= value <= top:
                raise ValueError(f"augmentation {name}={value!r}: expected a share from 0 to {top}")

    def __call__(self, image, rng):
        """The augmented image, uint8 (height, width, 3).

        Args:
            image: uint8 (height, width, 3).
            rng: numpy generator for the random parameters.
        """
        height, width = image.shape[:2]
        # Always the same number of draws, so that no setting changes the random numbers of another.
        draws = rng.random(11)
        signed = 2.0 * draws - 1.0
        scale = (1.0 + self.zoom * signed[0]) * (1.0 - self.crop * draws[1])
        spare = self.crop * draws[1]
        centre_x = 0.5 + self.shift_x * signed[2] + spare * (draws[3] - 0.5)
        centre_y = 0.5 + self.shift_y * signed[4] + spare * (draws[5] - 0.5)
        left, right = (centre_x - scale / 2) * width, (centre_x + scale / 2) * width
        top, bottom = (centre_y - scale / 2) * height, (centre_y + scale / 2) * height
        if draws[6] < self.flip:
            left, right = right, left
        moved = Image.fromarray(image).transform(
            (width, height),
            Image.Transform.EXTENT,
            (left, top, right, bottom),
            Image.Resampling.BILINEAR,
            fillcolor=BORDER,
        )
        # A copy, because Pillow's buffer is read-only.
        return self._erased(np.array(moved), draws[7:])

    def _erased(self, image, draws):
        if draws[0] >= self.erase:
            return image
        height, width = image.shape[:2]
        area = 0.02 + 0.18 * draws[1]
        # The same share of height and width, so the rectangle has the image's aspect ratio.
        rows, columns = max(1, int(height * area**0.5)), max(1, int(width * area**0.5))
        top, left = int(draws[2] * (height - rows + 1)), int(draws[3] * (width - columns + 1))
        image[top : top + rows, left : left + columns] = BORDER
        return image


def shuffled(labels, batch_size, images_per_identity, rng):
    """Shuffled batches: every image at most once per epoch, without the incomplete last batch.

    A data set smaller than one batch gives one smaller batch.

    Returns:
        Integers (batches, batch): indices into ``labels``.
    """
    order = rng.permutation(len(labels))
    size = min(batch_size, len(labels))
    return order[: len(order) // size * size].reshape(-1, size)


def identity_balanced(labels, batch_size, images_per_identity, rng):
    """P x K batches: P identities with K = ``images_per_identity`` images each, P = batch_size / K.

    Identities occur equally often, and the images of an identity occur in turn. An identity with fewer than K images
    repeats them. An epoch has as many batches as with :func:`shuffled`.

    Args:
        labels: (n,) identity of each image.
        batch_size: P * K.
        images_per_identity: K.
        rng: numpy generator.

    Returns:
        Integers (batches, P * K): indices into ``labels``.

    Raises:
        ValueError: ``batch_size`` is not a multiple of K, or there are fewer than P identities.

    Example:
        >>> labels = np.array([7, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9, 9])
        >>> batches = identity_balanced(labels, batch_size=4, images_per_identity=2, rng=np.random.default_rng(0))
        >>> print(labels[batches])
        [[9 9 7 7]
         [8 8 7 7]
         [9 9 8 8]]
    """
    identities_per_batch, rest = divmod(batch_size, images_per_identity)
    identities = np.unique(labels)
    if rest or not identities_per_batch:
        raise ValueError(f"batch_size={batch_size} is not a multiple of images_per_identity={images_per_identity}")
    if len(identities) < identities_per_batch:
        raise ValueError(
            f"batch_size={batch_size} with images_per_identity={images_per_identity} needs {identities_per_batch} "
            f"identities, but there are only {len(identities)} to train on: decrease batch_size or increase "
            "images_per_identity"
        )
    members = {identity: np.flatnonzero(labels == identity) for identity in identities}
    queues = {identity: np.empty(0, int) for identity in identities}
    batches, waiting = [], np.empty(0, identities.dtype)
    for _ in range(max(1, len(labels) // batch_size)):
        if len(waiting) < identities_per_batch:
            # Waiting identities go first. The new round follows in random order, those still waiting at its end.
            fresh = rng.permutation(identities)
            late = np.isin(fresh, waiting)
            waiting = np.concatenate([waiting, fresh[~late], fresh[late]])
        chosen, waiting = waiting[:identities_per_batch], waiting[identities_per_batch:]
        batch = []
        for identity in chosen:
            while len(queues[identity]) < images_per_identity:
                again = rng.permutation(members[identity])
                queues[identity] = np.concatenate([queues[identity], again])
            batch.append(queues[identity][:images_per_identity])
            queues[identity] = queues[identity][images_per_identity:]
        batches.append(np.concatenate(batch))
    return np.stack(batches)


SAMPLERS = {"shuffled": shuffled, "identity_balanced": identity_balanced}


class Batches(keras.utils.PyDataset):
    """Batches of images for ``fit``: ``({"images": ..., **extra}, {output: labels})``.

    All random numbers in batch b of epoch e depend only on (seed, e, b), so a run can be repeated, or resumed at any
    epoch, with identical batches.

    Args:
        images: uint8 (n, height, width, 3), such as the memory map of a store.
        rows: (m,) indices of the images to use.
        labels: (m,) integer labels from 0, one per row.
        outputs: names of the model's outputs; each gets the labels as its target.
        batch_size: images per batch.
        sampler: a key of ``SAMPLERS``, or None for all images in the given order (validation).
        images_per_identity: K of P x K batches.
        augmentation: an :class:`Augmentation`, or None.
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
        images_per_identity=4,
        augmentation=None,
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
        self.images_per_identity = images_per_identity
        self.augmentation = augmentation
        self.batch_inputs = batch_inputs
        self.seed = seed
        self.start(epoch)

    def start(self, epoch):
        """Prepare the batches of an epoch, counted from 0."""
        self.epoch = epoch
        if self.sampler is None:
            starts = range(0, len(self.rows), self.batch_size)
            self.batches = [np.arange(s, min(s + self.batch_size, len(self.rows))) for s in starts]
        else:
            rng = np.random.default_rng([self.seed, self.epoch])
            size, per_identity = self.batch_size, self.images_per_identity
            self.batches = SAMPLERS[self.sampler](self.labels, size, per_identity, rng)

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
        # Read in rising order, which is fast with a memory map, and stored in the batch's order.
        order = np.argsort(self.rows[positions], kind="stable")
        images = np.empty((len(positions), *self.images.shape[1:]), np.uint8)
        images[order] = self.images[self.rows[positions[order]]]
        if self.augmentation is not None:
            images = np.stack([self.augmentation(image, rng) for image in images])
        labels = self.labels[positions].astype("int32")
        inputs = {"images": images, **self.batch_inputs(labels, rng)}
        return inputs, {name: labels for name in self.outputs}
