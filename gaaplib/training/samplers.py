"""Samplers: which images form the batches of an epoch. NumPy alone.

A sampler is a function of the labels, the batch size, the images per identity and a generator, and returns one row of
indices per batch.
"""

import numpy as np


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
    identities_per_batch = _identities_per_batch(labels, batch_size, images_per_identity)
    identities = np.unique(labels)
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


def chunks(labels, batch_size, images_per_identity, rng):
    """P x K batches as BoT's code has them: each image at most once per epoch, apart from identities with fewer than K.

    The images of an identity are put in a random order and cut into chunks of K; what is left over is not used. An
    identity with fewer than K images has one chunk, drawn with replacement. A batch is a chunk each of P identities,
    drawn from those that have one left, as long as there are P. So the number of batches is not fixed;
    :class:`gaaplib.training.batches.Batches` gives every epoch as many as the first.

    Args, Returns, Raises: as :func:`identity_balanced`.
    """
    per_batch = _identities_per_batch(labels, batch_size, images_per_identity)
    left = {}
    for identity in np.unique(labels):
        members = np.flatnonzero(labels == identity)
        if len(members) < images_per_identity:
            members = rng.choice(members, images_per_identity)
        members = rng.permutation(members)
        whole = len(members) // images_per_identity * images_per_identity
        left[identity] = list(members[:whole].reshape(-1, images_per_identity))
    batches = []
    while len(left) >= per_batch:
        chosen = rng.choice(np.array(list(left)), per_batch, replace=False)
        batches.append(np.concatenate([left[identity].pop(0) for identity in chosen]))
        left = {identity: rest for identity, rest in left.items() if rest}
    return np.stack(batches)


def _identities_per_batch(labels, batch_size, images_per_identity):
    """P; raises a ValueError if it is not a whole number, or there are fewer identities."""
    identities_per_batch, rest = divmod(batch_size, images_per_identity)
    if rest or not identities_per_batch:
        raise ValueError(f"batch_size={batch_size} is not a multiple of images_per_identity={images_per_identity}")
    number = len(np.unique(labels))
    if number < identities_per_batch:
        raise ValueError(
            f"batch_size={batch_size} with images_per_identity={images_per_identity} needs {identities_per_batch} "
            f"identities, but there are only {number} to train on: decrease batch_size or increase "
            "images_per_identity"
        )
    return identities_per_batch


SAMPLERS = {"shuffled": shuffled, "identity_balanced": identity_balanced, "chunks": chunks}
