"""Errors of every parser in DATASETS, on a small valid data set in which one thing is wrong."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import made_layouts
import numpy as np
import pytest
from scipy.io import savemat

from gaaplib.datasets import DATASETS
from gaaplib.datasets.patterns import LAYOUTS

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".rar", ".7z", ".gz")


@dataclass(frozen=True)
class Sample:
    """A small valid data set of an entry of DATASETS.

    ``write`` puts it into a folder; ``image`` is an image of its, or the file with all of them; ``needed`` are the
    folders and files without which there is none; ``copy`` is where a second one would be found; ``images`` are the
    folders that are searched for images, and ``named`` says whether the images' names mean anything.
    """

    entry: str
    write: Callable[[Path], None]
    image: str
    needed: tuple[str, ...] = ()
    copy: str | None = None
    images: tuple[str, ...] = ()
    named: bool = True


def touch(*files):
    """A writer of empty files: a parser that opens one fails."""

    def write(home):
        for file in files:
            (home / file).parent.mkdir(parents=True, exist_ok=True)
            (home / file).touch()

    return write


def write_raid(home):
    with h5py.File(home / "RAiD_4Cams.mat", "w") as opened:
        for field, shape in (("images", (2, 3, 64, 128)), ("masks", (2, 64, 128))):
            opened.create_dataset(f"dataset/{field}", shape, np.uint8)
        opened["dataset/cam"], opened["dataset/personID"] = np.array([[1, 2]]), np.array([[1, 2]])


def write_config(home):
    touch("images_labeled/1.png", "images_labeled/2.png", "images_labeled/3.png", "images_labeled/4.png")(home)
    table = {"labels": [1, 2, 3, 3], "camId": [1, 1, 1, 2], "train_idx": [1, 2], "query_idx": [3], "gallery_idx": [4]}
    names = np.array([f"{number}.png" for number in range(1, 5)], dtype=object)
    savemat(home / "cuhk03_new_protocol_config_labeled.mat", table | {"filelist": names})


def write_table(home):
    touch("house/door/1.jpg", "house/door/2.jpg")(home)
    (home / "records.csv").write_text("path,pid\nhouse/door/1.jpg,1\nhouse/door/2.jpg,2\n")


MARKET = ("bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0007_c2s1_000301_01.jpg")
MARKET += ("query/0001_c1s1_001051_00.jpg", "bounding_box_test/0001_c3s1_008976_01.jpg")
CUHK03 = ("bounding_box_train/0001_c1_1.png", "bounding_box_train/0002_c1_1.png")
CUHK03 += ("query/0003_c1_22.png", "bounding_box_test/0003_c2_21.png")
RPIFIELD = ("Cam_1/2/Cam_1f_4.png", *(f"Cam_{camid}/3/Cam_{camid}f_7.png" for camid in range(1, 13)))
SPLITS = ("bounding_box_train", "query", "bounding_box_test")
PROBE, GALLERY, PERSONS = ("Probe", "Gallery", "Persons")

SAMPLES = {
    "market1501": Sample("market1501", touch(*MARKET), MARKET[0], SPLITS, "Market-1501-v15.09.15", SPLITS),
    "raid": Sample("raid", write_raid, "RAiD_4Cams.mat", ("RAiD_4Cams.mat",)),
    "partial_ilids": Sample(
        "partial_ilids",
        touch("Probe/001.jpg", "Gallery/001.jpg"),
        "Probe/001.jpg",
        (PROBE, GALLERY),
        "PartialiLIDS",
        (PROBE, GALLERY),
    ),
    "ilids": Sample(
        "ilids",
        touch("Persons/0001001.jpg", "Persons/0002001.jpg"),
        "Persons/0001001.jpg",
        (PERSONS,),
        "i-LIDS_Pedestrian",
        (PERSONS,),
    ),
    "rpifield": Sample("rpifield", touch(*RPIFIELD), RPIFIELD[0], ("Cam_1", "Cam_12"), "Data", ("Cam_1", "Cam_1/2")),
    "cuhk03": Sample("cuhk03", touch(*CUHK03), CUHK03[0], SPLITS, "cuhk03-np/detected", SPLITS),
    "cuhk03 by its configuration": Sample(
        "cuhk03",
        write_config,
        "images_labeled/1.png",
        ("images_labeled", "cuhk03_new_protocol_config_labeled.mat"),
        "cuhk03",
        ("images_labeled",),
        named=False,
    ),
    "folder": Sample("folder", touch("anna/1.jpg", "ben/1.jpg"), "anna/1.jpg", images=("anna",), named=False),
    "folder by its table": Sample("folder", write_table, "house/door/1.jpg", ("records.csv",), named=False),
}
for layout, files in made_layouts.FILES.items():
    parts = dict.fromkeys(part.folder for part in LAYOUTS[layout].forms[0])
    needed = (*dict.fromkeys(part.split("/")[0] for part in parts), *made_layouts.LISTS.get(layout, ()))
    # Images that no list names are not read.
    searched = () if layout in made_layouts.LISTS else tuple(parts)
    SAMPLES[layout] = Sample(
        layout,
        partial(made_layouts.write, layout),
        files[0],
        needed,
        LAYOUTS[layout].homes[0] if LAYOUTS[layout].homes else None,
        searched,
    )
NEEDED = [pytest.param(name, part, id=f"{name}-{part}") for name, one in SAMPLES.items() for part in one.needed]
SEARCHED = [name for name, one in SAMPLES.items() if one.images]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def write(name, home):
    """A sample in a folder, and its parser without the published counts."""
    SAMPLES[name].write(home)

    def read(root=home):
        return DATASETS[SAMPLES[name].entry].read(root, expected=None)

    assert len(read()) > 1
    return read


def refused(read, *args):
    """The message of the error that reading raises."""
    with pytest.raises((FileNotFoundError, ValueError)) as error:
        read(*args)
    return str(error.value)


def test_every_data_set_has_a_sample():
    assert {one.entry for one in SAMPLES.values()} == set(DATASETS)


@pytest.mark.parametrize("entry", DATASETS)
@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda root: None, "no such file or folder"),
        (lambda root: root.mkdir(), "nothing"),
        (touch("notes.txt", "deep/notes.txt"), "deep, notes.txt"),
    ],
)
def test_a_wrong_root_shows_the_tree_and_what_is_there(tmp_path, entry, make, seen):
    make(tmp_path / "data")
    with pytest.raises(FileNotFoundError) as error:
        DATASETS[entry].read(tmp_path / "data")
    message = str(error.value)
    assert all(line in message for line in DATASETS[entry].TREE.splitlines())
    assert message.endswith(f"found in {tmp_path / 'data'}: {seen}")


@pytest.mark.parametrize("entry", DATASETS)
def test_a_file_is_no_root(tmp_path, entry):
    (tmp_path / "photo.jpg").touch()
    message = refused(DATASETS[entry].read, tmp_path / "photo.jpg")
    assert f"{tmp_path / 'photo.jpg'}" in message
    assert "a file, not a folder" in message or (entry == "raid" and "is not an HDF5 file" in message)


@pytest.mark.parametrize(("name", "part"), NEEDED)
def test_half_a_data_set_is_refused(home, name, part):
    read = write(name, home)
    (home / part).rename(home / ".gone")
    assert str(home) in refused(read)
    if (home / ".gone").is_dir():
        (home / part).mkdir()
        assert str(home / part) in refused(read)


@pytest.mark.parametrize("name", [name for name, one in SAMPLES.items() if one.copy])
def test_two_copies_in_one_root_are_refused(home, name):
    read = write(name, home)
    (home / SAMPLES[name].copy).mkdir(parents=True)
    SAMPLES[name].write(home / SAMPLES[name].copy)
    message = refused(read)
    assert "more than one" in message
    assert str(home / SAMPLES[name].copy) in message


@pytest.mark.parametrize("name", [name for name in SEARCHED if SAMPLES[name].named])
@pytest.mark.parametrize("stranger", ["0001C1T0001F001.jpg", "0001_000_01_0303morning_0008_0.jpg", "IMG_1.JPG"])
def test_an_image_of_another_data_set_is_refused(home, name, stranger):
    read = write(name, home)
    for folder in SAMPLES[name].images:
        touch(f"{folder}/{stranger}")(home)
        assert stranger in refused(read)
        (home / folder / stranger).unlink()
    read()


@pytest.mark.parametrize(("name", "part"), NEEDED)
def test_a_name_in_another_case_is_told_with_the_right_one(home, name, part):
    read = write(name, home)
    if (home / part.swapcase()).exists():
        pytest.skip("this file system does not tell upper from lower case")
    (home / part).rename(home / part.swapcase())
    assert f"{home / part.swapcase()} differs in case: rename it to {part}" in refused(read)


@pytest.mark.parametrize(("name", "part"), [*NEEDED, ("folder", "anna")])
def test_an_archive_in_place_of_a_part_is_to_be_unpacked(home, name, part):
    read = write(name, home)
    (home / part).rename(home / ".gone")
    for suffix in ARCHIVES:
        archive = home / f"{part}{suffix}"
        archive.touch()
        assert f"{archive} is packed: unpack it" in refused(read)
        archive.unlink()


@pytest.mark.parametrize("suffix", ARCHIVES)
@pytest.mark.parametrize("entry", DATASETS)
def test_an_archive_as_root_is_to_be_unpacked(tmp_path, entry, suffix):
    archive = tmp_path / f"data{suffix}"
    archive.touch()
    assert f"{archive} is packed: unpack it, and give" in refused(DATASETS[entry].read, archive)


@pytest.mark.parametrize(
    ("name", "part"), [*NEEDED, ("folder", "anna"), *((name, one.image) for name, one in SAMPLES.items())]
)
def test_a_link_that_leads_out_of_the_root_or_nowhere_is_named(home, name, part):
    read = write(name, home)
    outside = home.parent / "outside"
    (home / part).rename(outside)
    (home / part).symlink_to(outside)
    message = refused(read)
    assert f"{home / part} is a symbolic link to {outside}, outside of {home}: replace the link by a copy" in message
    outside.rename(home.parent / "elsewhere")
    assert f"{home / part} is a symbolic link to {outside}, which does not exist" in refused(read)


@pytest.mark.parametrize(
    ("name", "part"), [*NEEDED, ("folder", "anna"), *((name, one.image) for name, one in SAMPLES.items())]
)
def test_a_link_within_the_root_and_one_to_the_root_are_followed(home, name, part):
    read = write(name, home)
    records = read()
    (home / part).rename(home / ".stash")
    (home / part).symlink_to(home / ".stash")
    assert read().equals(records)
    (home.parent / "link").symlink_to(home)
    assert read(home.parent / "link").equals(records)


@pytest.mark.parametrize("name", SEARCHED)
def test_a_name_that_is_not_utf8_is_told(home, name):
    read = write(name, home)
    for folder in SAMPLES[name].images:
        file = os.fsencode(home / folder) + b"/caf\xe9.jpg"
        try:
            Path(os.fsdecode(file)).touch()
        except OSError:
            pytest.skip("this file system has UTF-8 names only")
        assert rf"the name 'caf\udce9.jpg' in {home / folder} is not UTF-8: rename it" in refused(read)
        os.unlink(file)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_may_not_be_read_is_told(home, name, monkeypatch):
    read = write(name, home)

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # Not by chmod, which does not keep out an administrator.
    monkeypatch.setattr(os, "scandir", deny)
    monkeypatch.setattr(Path, "open", deny)
    monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(PermissionError, match=f"^{home}.* may not be read .permission denied.: ask its owner"):
        read()


@pytest.mark.parametrize("name", SAMPLES)
def test_strays_are_ignored(home, name):
    read = write(name, home)
    records = read()
    folders = [path for path in home.rglob("*") if path.is_dir()]
    for folder in (home, *folders):
        touch("README", "Thumbs.db", ".DS_Store", "._x.jpg", "desktop.ini", ".hidden/x.jpg", "__MACOSX/x.jpg")(folder)
    assert read().equals(records)
