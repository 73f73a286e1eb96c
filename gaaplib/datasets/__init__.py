"""The data sets: one module each, all answering the record table of :mod:`gaaplib.datasets.records`.

A module has ``read(root, expected)`` and the published counts in ``EXPECTED``. One whose images are not files of their
own also has ``images(root, paths)``, which yields Pillow images; one that comes in ``VARIANTS`` has a further argument
``variant`` of ``read``, and ``published(root, variant)`` for the counts. What a data set lacks is a constant of its
module, too: ``TRAINED_ON`` and ``CLOSED_ON`` name the data set that stands in.
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
    """The published counts ``{split: {"images": ..., ...}}`` of what is in ``root``; None where nobody knows them."""
    dataset = DATASETS[name]
    return dataset.published(root, variant) if hasattr(dataset, "VARIANTS") else dataset.EXPECTED


def trained_on(name):
    """The data set that models for this one are trained on where it has no training set of its own, else None."""
    return getattr(DATASETS[name], "TRAINED_ON", None)


def closed_on(name):
    """The data set that stands in for this one in the closed protocol: itself, unless it has too few images."""
    return getattr(DATASETS[name], "CLOSED_ON", name)
