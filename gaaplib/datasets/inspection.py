"""Checks a data set on disk before training: its counts against the published ones, and every unreadable image."""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from gaaplib.datasets import DATASETS, check_variant, published, read
from gaaplib.datasets.duplicates import same_bytes
from gaaplib.datasets.files import not_read
from gaaplib.datasets.folder import understood
from gaaplib.datasets.images import MAX_UNDECODABLE, decoded, read_image
from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA, beside_expected, counts, sample
from gaaplib.datasets.splits import FOLDS, no_match, protocol_split

SHOWN = 20


@dataclass(frozen=True)
class Inspection:
    """The result of a check; ``str()`` of it is the report of ``gaap data``.

    Attributes:
        name: the data set, a key of ``DATASETS``.
        root: the folder or file that was read.
        records: the table of :mod:`gaaplib.datasets.records`.
        expected: the published counts, ``{split: {"images": ..., ...}}``; None if there are none.
        remarks: the parser's warnings, apart from the one about counts.
        copies: queries that are the same file as a gallery image; see :func:`gaaplib.datasets.duplicates.same_bytes`.
        opened: number of images that were opened: all or 0.
        broken: one sentence for each image that cannot be decoded.
        unscorable: why a run cannot score the images, as a sentence on the first fold that cannot be; None if all can.
        pattern: the pattern that found persons and cameras in file names; None if there was none.
    """

    name: str
    root: Path
    records: pd.DataFrame
    expected: dict | None
    remarks: tuple[str, ...]
    copies: pd.DataFrame
    opened: int
    broken: tuple[str, ...]
    unscorable: str | None
    pattern: str | None = None

    @property
    def counts(self):
        """Images, identities and cameras of each split: found and, if they are known, expected."""
        if self.expected is None:
            return pd.concat({"found": counts(self.records)}, axis=1)
        return beside_expected(self.records, self.expected)

    @property
    def is_usable(self):
        """Whether a run accepts the data set: at most 1 % of the images are broken, and queries have matches."""
        return self._few_are_broken and self.unscorable is None

    @property
    def _few_are_broken(self):
        return len(self.broken) <= MAX_UNDECODABLE * len(self.records)

    def __str__(self):
        lines = [f"{self.name} in {self.root}", *self._on_pattern(), self.counts.to_string()]
        lines += [*self._on_counts(), *self._on_records()]
        lines += [*self.remarks, *self._on_copies(), *self._on_images()]
        return "\n".join([*lines, *([f"Runs refuse it: {self.unscorable}"] if self.unscorable else [])])

    def _on_pattern(self):
        """What the pattern found in ten names, evenly spaced."""
        if self.pattern is None:
            return []
        paths = self.records["path"]
        shown = paths.iloc[np.unique(np.linspace(0, len(paths) - 1, 10).astype(int))]
        found = [(path, *understood(self.pattern, path)) for path in shown]
        lines = [
            f"  {path}: person {pid}, camera {'unknown' if camid is None else camid}" for path, pid, camid in found
        ]
        zeros = int((self.records["pid"] == DISTRACTOR).sum())
        if zeros:
            lines.append(f"Person 0 is the distractor: its {zeros} images are in the gallery, and nobody's match.")
        return [f"The pattern {self.pattern} finds, for example:", *lines]

    def _on_counts(self):
        if self.expected is None:
            return []
        table = self.counts
        if table["found"].equals(table["expected"]):
            return ["The counts are the published ones."]
        return ["The counts differ from the published ones: results are not comparable with published ones."]

    def _on_records(self):
        records = self.records
        sizes = records.loc[records["pid"] != DISTRACTOR, "pid"].value_counts()
        alone = int((sizes == 1).sum())
        lines = [f"{alone} identities have one image only, so it has no match."] if alone else []
        if (records["camid"] == UNKNOWN_CAMERA).any():
            lines.append("Cameras are unknown: gallery images from the query's own camera cannot be left out.")
        return lines

    def _on_copies(self):
        pairs = [f"  {row.query} = {row.gallery} (pid {row.pid})" for row in self.copies.itertuples(index=False)]
        if not pairs:
            return []
        head = "queries are byte-identical to a gallery image of their identity; remove one file of each pair:"
        return [f"{self.copies['query'].nunique()} {head}", *_first(pairs)]

    def _on_images(self):
        if not self.opened:
            return ["The images were not opened."]
        if not self.broken:
            return [f"All {self.opened:,} images can be decoded."]
        advice = "they are left out" if self._few_are_broken else "more than 1 %, so runs refuse the data set"
        head = f"{len(self.broken)} of {self.opened:,} images cannot be decoded ({advice}); repair or replace:"
        return [head, *_first([f"  {reason}" for reason in self.broken])]


def inspect(name, root, variant=None, pattern=None, *, open_images=True, progress=False):
    """Read a data set, compare it with the published one, and open every image.

    Args:
        name: a key of ``DATASETS``.
        root: as for the data set's ``read``.
        variant: one of the data set's ``VARIANTS``; None: the parser's default.
        pattern: of ``folder`` only: see :func:`gaaplib.datasets.folder.read`.
        open_images: decode every image, which takes a few seconds per 10,000.
        progress: show a progress bar.

    Returns:
        An :class:`Inspection`.

    Raises:
        FileNotFoundError, ValueError: the parser cannot read the folder, or the data set has no such variant; the
            message has the reason and what would be right.
    """
    check_variant(name, variant)
    dataset, root = DATASETS[name], Path(root).expanduser()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = read(name, root, variant, pattern)
    remarks = tuple(str(warning.message) for warning in caught if "the published data set" not in str(warning.message))
    folder = root.parent if root.is_file() else root
    for ending, count in sorted(not_read(root).items()):
        remarks += (f"{count} files end in {ending} and are not read: save them as JPEG or PNG to have them taken.",)
    broken = _broken_images(dataset, root, folder, records["path"].tolist(), progress) if open_images else ()
    expected = published(name, root, variant)
    copies = same_bytes(folder, records)
    opened, unscorable = len(records) * open_images, _unscorable(records)
    return Inspection(name, root, records, expected, remarks, copies, opened, broken, unscorable, pattern)


def _unscorable(records):
    """Why a run cannot score these records, with seed 0, as a sentence; None if it can."""
    identities = records.loc[records["pid"] != DISTRACTOR, "pid"].nunique()
    # With fewer identities than folds, each has a fold of its own; with an official split, all folds test the same.
    folds = range(max(1, min(FOLDS, identities))) if (records["split"] == "all").all() else (0,)
    for fold in folds:
        try:
            table = protocol_split(records, fold)
        except ValueError as error:
            return str(error)
        found = no_match(table)
        if table.loc[table["role"].isin(["train", "val", "test"]), "pid"].nunique() == 1:
            found = "there is one identity to train on, but at least two are needed: add images of other people"
        if found:
            return f"in fold {fold}, {found}" if len(folds) > 1 else found
    return None


def sheet(inspection, *, identities, images, height=128, width=64):
    """Images for a contact sheet.

    Args:
        inspection: an :class:`Inspection`.
        identities, images: as for :func:`gaaplib.datasets.records.sample`.
        height, width: size of the images, in pixels.

    Returns:
        The rows of the records, and a list with uint8 (height, width, 3) for each row, None if it cannot be decoded.
    """
    dataset, root = DATASETS[inspection.name], inspection.root
    if (inspection.records["pid"] == DISTRACTOR).all():
        raise ValueError(f"{root} has distractors only, and no person to show")
    rows = sample(inspection.records, identities, images)
    if hasattr(dataset, "images"):
        found = dataset.images(root, rows["path"])
        return rows, [np.asarray(image.resize((width, height))) for image in found]
    folder = root.parent if root.is_file() else root
    return rows, [_image_or_none(folder / path, height, width) for path in rows["path"]]


def _image_or_none(file, height, width):
    try:
        return read_image(file, height, width)
    except ValueError:
        return None


def _broken_images(dataset, root, folder, paths, progress):
    """One sentence for each image that cannot be decoded."""
    read_members = partial(dataset.images, root) if hasattr(dataset, "images") else None
    results = decoded(folder, 16, 8, read_members, paths)
    bar = tqdm(results, total=len(paths), desc="opening images", unit="image", disable=not progress)
    return tuple(result for result in bar if isinstance(result, str))


def _first(lines):
    return lines[:SHOWN] + [f"  and {len(lines) - SHOWN} more"] * (len(lines) > SHOWN)
