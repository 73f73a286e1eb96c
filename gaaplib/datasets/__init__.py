"""The data sets: one module each, all answering the record table of :mod:`gaaplib.datasets.records`.

A module has ``read(root, expected)`` and the published counts in ``EXPECTED``; one whose images are not files of their
own also has ``images(root, paths)``, which yields Pillow images.
"""

from gaaplib.datasets import cuhk03, folder, ilids, market1501, raid, rpifield

DATASETS = {
    "market1501": market1501,
    "raid": raid,
    "ilids": ilids,
    "rpifield": rpifield,
    "cuhk03": cuhk03,
    "folder": folder,
}
