"""The paper's tables parsed from its text line by line, and reference implementations for the audit."""

import re

BACKBONES = ("vgg16", "vgg19", "resnet18", "resnet34", "resnet50")
DATASETS = ("market1501", "raid", "partial_ilids", "rpifield")
NUMBER = re.compile(r"0\.\d+")


def rows_between(text, start, end, count):
    """The last ``count`` numbers, as printed, of each line between two marks that has at least so many."""
    part = text[text.index(start) : text.index(end)]
    rows = [NUMBER.findall(line) for line in part.splitlines() if "\t" in line]
    return [row[-count:] for row in rows if len(row) >= count]


def tables_1_to_3(text):
    """``{(table, backbone, dataset, attention, pooling, metric, folds): number as printed}``."""
    parts = {
        "I": ("Backbone Networks\t", "TABLE I. ", [("gaap", "avg")]),
        "II": ("Classifiers\tDatasets\tWi", "TABLE II. ", [("gaap", "avg"), ("none", "avg")]),
        "III": ("TABLE III. ", "has shown better performance", [("gaap", "avg"), ("gaap", "max")]),
    }
    cells = {}
    for table, (start, end, halves) in parts.items():
        rows = rows_between(text, start, end, 4 * len(halves))
        names = [(backbone, dataset) for backbone in BACKBONES for dataset in DATASETS]
        assert len(rows) == len(names)
        for name, row in zip(names, rows, strict=True):
            columns = [(*half, metric, folds) for half in halves for metric in ("mRA", "CMC") for folds in (1, 5)]
            for column, number in zip(columns, row, strict=True):
                cells[(table, *name, *column)] = number
    return cells


def table_4(text):
    """``{(method, reference, dataset, metric): number as printed}``."""
    part = text[text.index("TABLE IV. ") : text.index("#### ACKNOWLEDGMENT")]
    columns = [(dataset, metric) for dataset in DATASETS for metric in ("mRA", "CMC")]
    cells = {}
    for line in part.splitlines():
        numbers = NUMBER.findall(line)
        if len(numbers) == 8:
            method, reference = re.match(r"([\w-]+) ?[\[(](\w+)[\])]", line).groups()
            for column, number in zip(columns, numbers, strict=True):
                cells[(method, reference, *column)] = number
    return cells


def holm(p_values):
    """Holm-corrected p-values, computed one by one from the smallest."""
    corrected, worst = {}, 0.0
    for number, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        worst = max(worst, p_values[index] * (len(p_values) - number))
        corrected[index] = min(1.0, worst)
    return [corrected[index] for index in range(len(p_values))]


def windows(length, size, step):
    """The number of positions of a window of this size."""
    return sum(1 for start in range(0, length, step) if start + size <= length)
