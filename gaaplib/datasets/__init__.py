"""The data sets: one module each, all answering the record table of :mod:`gaaplib.datasets.records`.

A module has ``read(root, expected)`` and the published counts in ``EXPECTED``. One whose images are not files of their
own also has ``images(root, paths)``, which yields Pillow images; one that comes in ``VARIANTS`` has a further argument
``variant`` of ``read``, and ``published(root, variant)`` for the counts.
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
