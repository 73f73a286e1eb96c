"""Folders of data sets with files and folders moved, renamed, replaced or linked: read, or refused in words.

Not part of `make test`: `make attack` runs it.
"""

import os
import shutil
from pathlib import Path

import made_layouts
import pytest
from attack.attacking import TRIES, attack
from made_images import write_raid

from gaaplib.datasets import DATASETS
from gaaplib.datasets.inspection import inspect
from gaaplib.datasets.records import check_records

pytestmark = pytest.mark.skipif(not TRIES, reason="takes minutes; make attack runs it")

MARKET = ("bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0007_c2s1_000301_01.jpg")
MARKET += (
    "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/0001_c3s1_008976_01.jpg",
    "bounding_box_test/-1_c1s1_1_1.jpg",
)
TREES = {
    "market1501": MARKET,
    "cuhk03": ("bounding_box_train/0001_c1_1.png", "bounding_box_train/0002_c1_1.png", "query/0003_c1_22.png")
    + ("bounding_box_test/0003_c2_21.png",),
    "partial_ilids": ("Probe/001.jpg", "Probe/002.jpg", "Gallery/001.jpg", "Gallery/002.jpg"),
    "ilids": ("Persons/0001001.jpg", "Persons/0001002.jpg", "Persons/0002001.jpg"),
    "rpifield": ("Cam_1/2/Cam_1f_4.png", *(f"Cam_{camid}/3/Cam_{camid}f_7.png" for camid in range(1, 13))),
    "folder": ("anna/1.jpg", "anna/2.png", "ben/1.jpg", "0001/a.webp"),
    "raid": (),
    **made_layouts.FILES,
}
NAMES = (
    *(
        "query",
        "Train",
        "0001",
        "0000",
        "-1",
        "1",
        "a b",
        "\u00e9.jpg",
        "x" * 200 + ".jpg",
        "new\nline",
        "#",
        ".hidden",
    ),
    *(
        "records.csv",
        "Probe.txt",
        "photo.JPG",
        "photo.jpg",
        "photo.jpg.zip",
        "0001_c1s1_000001_00.jpg",
        "caf\udce9.jpg",
    ),
    *(
        "0001_c1_1.png",
        "001.jpg",
        "0003001.jpg",
        "Cam_1",
        "cam_a",
        "images",
        "Persons",
        "detected",
        "$HOME",
        "%s",
        "{}",
    ),
)


def damaged_tree(rng, root):
    """One to four changes to a folder. Nothing is changed through a link, which may lead out of it."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        paths = [Path(folder, name) for folder, *names in os.walk(root) for name in sum(names, [])]
        folders = [root, *(path for path in paths if path.is_dir() and not path.is_symlink())]
        if paths:
            path, target = rng.choice(sorted(paths)), rng.choice(sorted(folders)) / rng.choice(NAMES)
            if not os.path.lexists(target) and not target.is_relative_to(path):
                rng.choice(CHANGES)(path, target)


def _remove(path, target):
    shutil.rmtree(path) if _is_folder(path) else path.unlink()


def _copy(path, target):
    if _is_folder(path):
        shutil.copytree(path, target, symlinks=True)
    else:
        shutil.copyfile(path, target, follow_symlinks=False)


def _replace_by_other_kind(path, target):
    is_folder = _is_folder(path)
    _remove(path, target)
    path.touch() if is_folder else path.mkdir()


def _is_folder(path):
    return path.is_dir() and not path.is_symlink()


CHANGES = (
    _remove,
    _copy,
    _replace_by_other_kind,
    lambda path, target: path.rename(target),
    lambda path, target: target.mkdir(),
    lambda path, target: target.touch(),
    lambda path, target: target.write_text("path,pid\nanna/1.jpg,1\nben/1.jpg,2\n"),
    lambda path, target: target.symlink_to(path),
    lambda path, target: target.symlink_to("nowhere"),
    lambda path, target: target.symlink_to(".."),
    lambda path, target: target.symlink_to("../../outside"),
)


@pytest.mark.parametrize("name", DATASETS)
def test_trees(tmp_path, name):
    root, outside = tmp_path / "copy of the data", tmp_path / "outside"
    outside.mkdir()
    (outside / "001.jpg").touch()

    def damage(rng):
        shutil.rmtree(root, ignore_errors=True)
        if name == "raid":
            shutil.copytree(tmp_path / "raid", root)
        for file in TREES[name]:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        if name in made_layouts.FILES:
            made_layouts.write(name, root)
        damaged_tree(rng, root)

    def read():
        inspection = inspect(name, root)
        records = inspection.records
        check_records(records)
        assert all((root / path.partition(".mat#")[0]).exists() or name == "raid" for path in records["path"])
        assert str(inspection).encode()

    if name == "raid":
        write_raid(tmp_path / "raid")
    assert not attack(f"tree {name}", TRIES, damage, read, root)
