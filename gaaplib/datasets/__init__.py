"""The data sets: one module each, all answering the record table of :mod:`gaaplib.datasets.records`."""

from gaaplib.datasets import market1501

DATASETS = {"market1501": market1501.read}
