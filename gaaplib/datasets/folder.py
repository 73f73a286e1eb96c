"""A user's own photographs: one folder per person, or a table. ``TREE`` shows both layouts.

With one folder per person, the folder's name is the person's name. Names of splits and of other parts of data sets
(``PART``) are refused, because a folder such as ``query`` would be read as a person. So are cameras' names if all
folders have such names (``CAMERA``), and a root with one folder only. Such data sets need a table.

Persons are numbered from 1 in the order of their names, with numbers in a name compared by value ("2" before "10").
Adding a person may therefore change the numbers of others. Images must be directly in their person's folder. Deeper
ones are refused: in ``train/anna/1.jpg`` it is not clear whether "train" or "anna" is the person. Cameras are unknown;
the split is "all".

The table is ``records.csv`` in the folder, or a CSV file of any name that is given as the root. Its lines are such as::

    path,pid,camid,split
    door/0001.jpg,anna,1,train
    yard/0002.jpg,ben,2,query

Paths are relative to the table's folder. ``camid`` and ``split`` are optional, and may be empty in all rows. If all
pids are whole numbers they are used as they are; otherwise persons are numbered as above. Pid 0 is always the
distractor, which is in the gallery only. If there is a table, the folder names have no meaning.

With a ``pattern``, file names give persons and cameras instead, in folders of any depth or in none: a regular
expression with the group ``pid`` and optionally ``camid``, such as ``(?P<pid>[^_]+)_cam(?P<camid>\\d+)``. It is
searched in the file's name, or in its path relative to the root if it has a slash. Persons are numbered as in a table.

The folder ``masks`` in the root is no person's: see :mod:`gaaplib.datasets.masks`.
"""

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from gaaplib.datasets.files import (
    SHOWN,
    check_links,
    folders_in,
    found_in,
    images_below,
    images_in,
    is_archive,
    listed_image,
    names_in,
    one_home,
    read_text,
    refuse,
    wrong_case,
)
from gaaplib.datasets.masks import FOLDER as MASKS
from gaaplib.datasets.records import DISTRACTOR, SPLITS, UNKNOWN_CAMERA, make_records, warn_if_counts_differ

TREE = """
photographs/                      the root; one folder per person, of any name:
    anna/IMG_0001.jpg
    ben/IMG_0002.jpg
or a table and images in any folders:
    records.csv
    door/0001.jpg
"""

TABLE = "records.csv"
NEEDED, OPTIONAL = ("path", "pid"), ("camid", "split")
STRONG = (
    *("train", "val", "test", "query", "queries", "gallery", "galleries", "probe", "image", "img", "frame", "bbox"),
    *("persons", "people", "identities", "distractor", "junk"),
)
WEAK = (
    *("ing", "id", "idation", "s", "es", "set", "split", "all", "multi", "single", "shot", "gt", "bounding", "box"),
    *("data", "new", "old", "cropped", "full", "detected", "label", "labeled", "labelled", "partial", "whole"),
    *("occluded", "body", "mask", "rgb", "ir", "v"),
)
PART = re.compile(rf"(?=.*(?:{'|'.join(STRONG)}))(?:(?:{'|'.join(STRONG + WEAK)})[\W\d_]*)+|-1", re.IGNORECASE)
"""Names of parts of data sets: made of these words only, such as "image_train", "Query2" and "bounding_box_test", with
one of ``STRONG`` among them; and -1, which is Market-1501's junk."""

CAMERA = re.compile(r"(?:cam|camera|view)[\W_]*(?:[a-z]|\d+)", re.IGNORECASE)
"""Names such as "cam_a" and "Camera 12". A person may have such a name, but not all persons."""

EXPECTED = None
"""There are no published counts to compare with."""


def read(
    root: str | PathLike,
    expected: Mapping[str, Mapping[str, int]] | None = EXPECTED,
    pattern: str | None = None,
) -> pd.DataFrame:
    """Records of a folder of photographs; no image is opened.

    Gives one UserWarning if the counts differ from the expected ones.

    Args:
        root: the folder that has one subfolder per person or ``records.csv``, or a CSV file.
        expected: the expected counts, such as ``{"all": {"images": 20, "identities": 4}}``; None skips the comparison.
        pattern: a regular expression that finds person and camera in file names; None: folders or the table give them.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`, with paths relative to ``image_folder(root)`` and the
        persons' names.

    Raises:
        FileNotFoundError: neither persons' folders with images nor a table.
        PermissionError: a folder or the table may not be read.
        ValueError: a pattern that is no regular expression, has no group ``pid`` or does not match an image; an image
            outside or too deep in the persons' folders; a person without images, in an archive, or
            named as a part of a data set; one person only; wrong columns or values in the table (the message lists the
            lines); or a link that leads out of the root.
    """
    records = _records(Path(root).expanduser(), pattern)
    if records["split"].eq("all").all() and records.loc[records["pid"] != DISTRACTOR, "pid"].nunique() < 2:
        raise ValueError(f"{root} has images of one person only: one is trained on and another tested, so give two")
    if expected is not None:
        warn_if_counts_differ(records, expected, str(root))
    return records


def _records(root: Path, pattern: str | None = None) -> pd.DataFrame:
    """The records of the folder, the table or the pattern."""
    home = image_folder(root)
    table = home / TABLE if home == root else root
    if pattern is not None:
        rows, persons = _read_by_pattern(root, pattern)
    elif os.path.isfile(table):
        check_links(table, root)
        rows, persons = _read_table(table, home)
    elif home == root:
        rows, persons = _read_folders(root)
    else:
        raise FileNotFoundError(f"there is no table {root}; found in {home}: {found_in(home)}")
    records = make_records(rows)
    records.attrs["persons"] = {pid: name for name, pid in persons.items() if name != str(pid)}
    return records


def image_folder(root: str | PathLike) -> Path:
    """The folder that the records' paths are relative to: ``root``, or its parent if ``root`` is a CSV file."""
    root = Path(root).expanduser()
    return root.parent if root.suffix.lower() == ".csv" and not root.is_dir() else root


def number_persons(names: Iterable[str]) -> dict[str, int]:
    """``{name: number}``, numbered from 1 in natural order, in which "2" is before "10"."""

    def natural(name: str) -> tuple:
        parts = re.split(r"(\d+)", name)
        return [int(part) if part.isdecimal() else part.casefold() for part in parts], name

    return {name: number for number, name in enumerate(sorted(set(names), key=natural), 1)}


def understood(pattern: str, path: str) -> tuple[str, str | None] | None:
    r"""Person and camera, as written, that a pattern finds in an image's path; None if it does not match.

    Raises:
        ValueError: the pattern is no regular expression, or has no group ``pid``, or groups of other names.

    Example:
        >>> understood(r"(?P<pid>[^_]+)_cam(?P<camid>\d+)", "party/anna_cam2_017.jpg")
        ('anna', '2')
    """
    wanted = r"such as (?P<pid>[^_]+)_cam(?P<camid>\d+) for anna_cam2_017.jpg"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern={pattern!r} is no regular expression ({error}): give one {wanted}") from None
    groups = set(compiled.groupindex)
    if "pid" not in groups or groups - {"pid", "camid"}:
        named = ", ".join(sorted(groups)) or "none"
        raise ValueError(f"pattern={pattern!r} must have the group pid and optionally camid, not {named}: {wanted}")
    match = compiled.search(path if "/" in pattern else path.rpartition("/")[2])
    return match and (match["pid"], match.groupdict().get("camid"))


Read = tuple[list[tuple[str, int, int, str]], dict[str, int]]
"""Rows for :func:`gaaplib.datasets.records.make_records`, and the number of each person."""


def _read_by_pattern(root: Path, pattern: str) -> Read:
    understood(pattern, "")  # A wrong pattern is refused before the folder is searched.
    paths = sorted(images_below(root, root, {MASKS})) if os.path.isdir(root) else []
    one_home([root] if paths else [], root, "photographs", TREE)
    found = [understood(pattern, path) for path in paths]
    wrong = [path for path, names in zip(paths, found, strict=True) if not names or not names[0]]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(paths)} images in {root} do not match pattern={pattern!r}, first "
            f"{', '.join(wrong[:3])}: change the pattern, or move other images out of the folder"
        )
    pids, camids = (_numbers(names) for names in zip(*found, strict=True))
    del pids[None]
    return [(path, pids[pid], camids[camid], "all") for path, (pid, camid) in zip(paths, found, strict=True)], pids


def _numbers(names: Iterable[str | None]) -> dict[str | None, int]:
    """``{name: number}``: whole numbers as they are, others as :func:`number_persons`; None is an unknown camera."""
    words = {name for name in names if name is not None}
    numbers = all(re.fullmatch(r"\d{1,9}", word, re.ASCII) for word in words)
    found = {word: int(word) for word in words} if numbers else number_persons(words)
    return found | {None: UNKNOWN_CAMERA}


def _read_folders(root: Path) -> Read:
    people = [name for name in folders_in(root, root) if name != MASKS] if os.path.isdir(root) else []
    images = {person: images_in(root / person, root) for person in people}
    deeper = next((image for person in people for image in _deeper(root / person, root)), None)
    found = [root] if deeper or any(images.values()) else []
    one_home(found, root, "photographs", TREE, names=[TABLE])
    _check_root(root, people, deeper)
    for person in people:
        if not images[person]:
            raise ValueError(
                f"{root / person} has no image that can be read (found there: {found_in(root / person)}): each "
                "subfolder is a person; add JPEG or PNG images to it, or move the folder elsewhere"
            )
    if len(people) < 2:
        raise ValueError(
            f"{root} has one folder only, {people[0]}: each folder is a person, and at least two are needed; if it has "
            f"images of several persons, {_table_advice(root, f'{people[0]}/{images[people[0]][0]}')}"
        )
    pids = number_persons(people)
    rows = [(f"{person}/{name}", pids[person], UNKNOWN_CAMERA, "all") for person in people for name in images[person]]
    return rows, pids


def _table_advice(root: Path, image: str) -> str:
    """The way that works for images in any folders, with one of them as an example."""
    words = {"quer|probe": "query", "galler|test": "gallery", "": "train"}
    split = next(split for word, split in words.items() if re.search(word, image, re.IGNORECASE))
    return (
        f"write a table {root / TABLE} with the line path,pid,camid,split and one line per image such as {image},1,2,"
        f"{split} (split: train, query or gallery; junk is left out), and give {root} as the root again"
    )


def _deeper(person: Path, root: Path) -> Iterator[Path]:
    """Images in the subfolders of a person's folder; links are not followed, because they may form a loop."""
    folders = [person / name for name in folders_in(person, root)]
    for folder in folders:
        if not folder.is_symlink():
            yield from (folder / name for name in images_in(folder, root))
            yield from _deeper(folder, root)


def _check_root(root: Path, people: list[str], deeper: Path | None) -> None:
    """Raise an error for anything in the root that would make the number of persons or images wrong."""
    misspelt = wrong_case(root, [TABLE])
    if misspelt:
        raise ValueError(f"{misspelt[0]}, or move it elsewhere to read the folders")
    loose = images_in(root, root)
    if loose:
        raise ValueError(
            f"{len(loose)} images are in {root} itself, first {loose[0]}: move each into its person's subfolder, or "
            f"{_table_advice(root, loose[0])}"
        )
    _check_parts(root, people, deeper)
    packed = [name for name in names_in(root) if is_archive(name) and name.split(".")[0] not in people]
    if packed:
        raise ValueError(f"{root / packed[0]} is packed: unpack it, or move it elsewhere if it is not a person")
    if deeper:
        person = deeper.relative_to(root).parts[0]
        raise ValueError(
            f"{deeper} is too deep: images must be directly in their person's folder, here {person}; move them there, "
            f"or give {root / person} as the root if its subfolders are the persons, or "
            f"{_table_advice(root, deeper.relative_to(root).as_posix())}"
        )


def _check_parts(root: Path, people: list[str], deeper: Path | None) -> None:
    """Raise an error if folders are parts of a data set and not persons."""
    # The names on the way to a deeper image count, so that the folder above a data set's parts is not suggested.
    on_the_way = deeper.relative_to(root).parts[:-1] if deeper else ()
    parts = [name for name in dict.fromkeys((*people, *on_the_way)) if PART.fullmatch(name)]
    if not parts and people and all(map(CAMERA.fullmatch, people)):
        parts = people
    if parts:
        shown = ", ".join(parts[:SHOWN]) + (", ..." if len(parts) > SHOWN else "")
        images = (root / name / image for name in (*parts, *people) for image in images_in(root / name, root))
        example = (deeper or next(images)).relative_to(root).as_posix()
        raise ValueError(
            f"{root} has {shown}: not persons, but parts of a data set. If it is one that gaap knows, give its name "
            f"instead of folder (gaap data lists them). Otherwise {_table_advice(root, example)}. If these are "
            "persons, rename the folders"
        )


def _read_table(table: Path, home: Path) -> Read:
    lines, rows, problems = [], [], []
    for line, values in _table_rows(table):
        try:
            rows.append(_parse_row(home, values))
            lines.append(line)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    refuse(table, problems or _contradictions(lines, rows))
    if not rows:
        raise ValueError(f"{table} has no rows: it needs one per image")
    names = {pid for _, pid, _, _ in rows}
    if all(name.isdecimal() for name in names):
        pids = {name: int(name) for name in names}
    else:
        pids = number_persons(name for name in names if not _is_distractor(name))
        pids |= {name: DISTRACTOR for name in names if _is_distractor(name)}
    return [(path, pids[pid], camid, split) for path, pid, camid, split in rows], pids


def _table_rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: value}) of each row that is not blank; spaces around values are removed."""
    reader = csv.reader(io.StringIO(read_text(table), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(table, header)
        for values in reader:
            values = [value.strip() for value in values]
            if len(values) != len(header) and any(values):
                refuse(table, [f"line {reader.line_num}: {len(values)} values {values}, but {len(header)} columns"])
            if any(values):
                yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        refuse(table, [f"line {reader.line_num}: {error}"])


def _check_header(table: Path, header: list[str]) -> None:
    problems = [f"line 1: there is no column {name}" for name in NEEDED if name not in header]
    problems += [f"line 1: column {name!r} is unknown" for name in header if name not in NEEDED + OPTIONAL]
    problems += [f"line 1: column {name} occurs twice" for name in sorted(set(header)) if header.count(name) > 1]
    if problems:
        problems.append(f"line 1 must be {','.join(NEEDED)} and optionally {','.join(OPTIONAL)}, separated by commas")
    refuse(table, problems)


def _parse_row(home: Path, values: dict[str, str]) -> tuple[str, str, int, str]:
    path = listed_image(home, values["path"], home)
    pid, camid, split = values["pid"], values.get("camid") or str(UNKNOWN_CAMERA), values.get("split") or "all"
    if not pid:
        raise ValueError("pid is empty: give the person's number or name")
    if len(pid) > 200:
        raise ValueError(f"pid has {len(pid)} characters, from {pid[:20]!r} on: at most 200 are allowed")
    if re.fullmatch(r"-\d+|\d{10,}", pid):
        raise ValueError(f"pid is {pid}: a number must be 0 (a distractor) or more, of at most nine digits")
    if not re.fullmatch(rf"{UNKNOWN_CAMERA}|\d{{1,9}}", camid, re.ASCII):
        raise ValueError(f"camid is {camid!r}: it must be a whole number, 0 or more, or empty if cameras are unknown")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: it must be one of {', '.join(SPLITS)}")
    if _is_distractor(pid) and split in ("train", "query"):
        raise ValueError(f"pid {pid} is the distractor, which belongs to the gallery only, but split is {split!r}")
    return path, pid, int(camid), split


def _is_distractor(pid: str) -> bool:
    return pid.isdecimal() and int(pid) == DISTRACTOR


def _contradictions(lines: list[int], rows: list[tuple[str, str, int, str]]) -> list[str]:
    """Problems between rows that are each valid on their own."""
    problems, first = [], {}
    for line, (path, _, camid, split) in zip(lines, rows, strict=True):
        if path in first:
            problems.append(f"line {line}: path {path!r} is in line {first[path]} too: each image must occur once")
        first.setdefault(path, line)
        if (camid == UNKNOWN_CAMERA) != (rows[0][2] == UNKNOWN_CAMERA):
            problems.append(f"line {line}: camid is {camid}, but {rows[0][2]} in line {lines[0]}: give all or none")
        if (split == "all") != (rows[0][3] == "all"):
            problems.append(f"line {line}: split is {split!r}, but {rows[0][3]!r} in line {lines[0]}: give all or none")
    return problems + _in_both_parts(lines, rows)


def _in_both_parts(lines: list[int], rows: list[tuple[str, str, int, str]]) -> list[str]:
    """Persons that are trained on and tested on, too, which no score could count."""
    trained = {}
    for line, (_, pid, _, split) in zip(lines, rows, strict=True):
        if split == "train":
            trained.setdefault(pid, line)
    return [
        f"line {line}: pid {pid} is in {split}, but in train in line {trained[pid]}: nobody can be in both"
        for line, (_, pid, _, split) in zip(lines, rows, strict=True)
        if split in ("query", "gallery") and pid in trained
    ]


def photographs(folder):
    """Records of any folder of photographs, with identities if the folder gives them.

    If the folder has one subfolder per person or ``records.csv``, it is read by :func:`read`. Otherwise all images are
    taken, at any depth, and every pid is ``DISTRACTOR``; links to folders are not followed.

    Raises:
        FileNotFoundError: no images.
        ValueError: an error in ``records.csv``, or a link that leads out of the folder.
    """
    root = Path(folder).expanduser()
    try:
        return _records(root)
    except (FileNotFoundError, ValueError):
        if not root.is_dir() or (root / TABLE).exists():
            raise
    paths = list(images_below(root, root, {MASKS}))
    if not paths:
        raise FileNotFoundError(f"{root} has no images (found there: {found_in(root)})")
    return make_records((path, DISTRACTOR, UNKNOWN_CAMERA, "all") for path in paths)
