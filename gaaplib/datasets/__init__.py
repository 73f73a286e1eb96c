"""The data sets: one module each, whose ``read`` returns the record table of :mod:`gaaplib.datasets.records`.

A module has ``read(root, expected)`` and the published counts in ``EXPECTED``. If its images are not separate files, it
also has ``images(root, paths)``, which yields Pillow images. If the data set comes in ``VARIANTS``, ``read`` takes a
further argument ``variant``, and ``published(root, variant)`` returns the counts. If it has no training set, or too few
images for the closed protocol, ``TRAINED_ON`` or ``CLOSED_ON`` names the data set to use instead.
"""

from gaaplib.datasets import cuhk03, folder, ilids, market1501, partial_ilids, raid, rpifield

DATASETS = {
    "market1501": market1501,
    "raid": raid,
    "partial_ilids": partial_ilids,
    "ilids": ilids,
    "rpifield": rpifield,
    "cuhk03": cuhk03,
    "folder": folder,
}


def published(name, root, variant=None):
    """The published counts of a data set, ``{split: {"images": ..., ...}}``, or None if there are none.

    Args:
        name: a key of ``DATASETS``.
        root: the data set's folder; CUHK03 looks there for the variant if ``variant`` is None.
        variant: one of the data set's ``VARIANTS``, or None.

    Example:
        >>> published("ilids", "data/ilids")
        {'all': {'images': 476, 'identities': 119, 'cameras': 0}}
        >>> published("market1501", "data/market1501", variant="500k")["gallery"]
        {'images': 515913, 'identities': 751, 'cameras': 6}
    """
    dataset = DATASETS[name]
    return dataset.published(root, variant) if hasattr(dataset, "VARIANTS") else dataset.EXPECTED


def check_variant(name, variant):
    """Refuse a variant that a data set does not have.

    Raises:
        ValueError: it does not; the message has those that it has.
    """
    known = getattr(DATASETS[name], "VARIANTS", ())
    if variant is not None and variant not in known:
        listed = ", ".join(known) or "none for this data set"
        raise ValueError(f"variant={variant!r} of {name} is not known; known: {listed}")


def trained_on(name):
    """The data set whose models are used for this one if it has no training set; None if it has one."""
    return getattr(DATASETS[name], "TRAINED_ON", None)


def closed_on(name):
    """The data set used in the closed protocol: this one, or its substitute if it has too few images."""
    return getattr(DATASETS[name], "CLOSED_ON", name)
