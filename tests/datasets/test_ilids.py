"""The parser of i-LIDS MCTS, on its true layout made of empty files."""

import warnings

import pytest

from gaaplib.datasets.ilids import EXPECTED, FOLDER, read
from gaaplib.datasets.records import check_records

FILES = ["0001001.jpg", "0001002.JPG", "0119004.png"]


@pytest.fixture
def persons(tmp_path):
    """A small complete i-LIDS; no file is an image, so that a parser that opens one fails."""
    folder = tmp_path / FOLDER / "Persons"
    folder.mkdir(parents=True)
    touch(folder, *FILES)
    return folder


def touch(folder, *files):
    for file in files:
        (folder / file).touch()


def test_records(persons):
    records = read(persons, expected=None)
    check_records(records)
    assert records.values.tolist() == [
        ["0001001.jpg", 1, -1, "all"],
        ["0001002.JPG", 1, -1, "all"],
        ["0119004.png", 119, -1, "all"],
    ]


def test_root_may_be_the_folder_or_its_parents(persons):
    assert read(str(persons.parent), expected=None)["path"].tolist() == [f"Persons/{file}" for file in FILES]
    from_parent = read(persons.parents[1], expected=None)
    assert from_parent["path"].tolist() == [f"{FOLDER}/Persons/{file}" for file in FILES]
    # A folder named like an image must not be taken for the image's name.
    renamed = persons.rename(persons.parent / "0009001.jpg")
    assert read(renamed, expected=None)["pid"].tolist() == [1, 1, 119]


def test_files_that_are_no_images_are_ignored(persons):
    touch(persons, "Thumbs.db", ".DS_Store", "._0001001.jpg", "0001")
    (persons / "folder.jpg").mkdir()
    assert len(read(persons, expected=None)) == 3


@pytest.mark.parametrize(
    "name", ["001001.jpg", "00010011.jpg", "0000001.jpg", "0001_001.jpg", "x0001001.jpg", "0001001.jpg.jpg", "a.bmp"]
)
def test_an_image_with_another_name_is_refused(persons, name):
    touch(persons, name)
    with pytest.raises(ValueError) as error:
        read(persons, expected=None)
    message = str(error.value)
    assert f"1 of 4 images in {persons}" in message
    assert name in message
    assert "such as 0001001.jpg" in message


@pytest.mark.parametrize("files", [[], ["readme.txt"]])
def test_a_wrong_root_is_named_with_what_is_there(tmp_path, files):
    touch(tmp_path, *files)
    with pytest.raises(
        FileNotFoundError, match=f"no i-LIDS in (.|\n)*found in .*: {files[0] if files else 'nothing'}$"
    ):
        read(tmp_path)


def test_images_of_another_naming_are_no_persons(tmp_path):
    touch(tmp_path, "IMG_0001.jpg")
    with pytest.raises(FileNotFoundError, match="no i-LIDS in (.|\n)*Persons/0001001.jpg(.|\n)*: IMG_0001.jpg$"):
        read(tmp_path)


def test_a_root_that_is_no_folder_is_named(persons):
    with pytest.raises(FileNotFoundError, match="found in .*: a file, not a folder"):
        read(persons / FILES[0])
    with pytest.raises(FileNotFoundError, match="found in .*: no such file or folder"):
        read(persons / "nowhere")


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "Persons").mkdir()
    with pytest.raises(ValueError, match="Persons has no image"):
        read(tmp_path)


def test_counts_other_than_published_are_one_warning(persons):
    with pytest.warns(UserWarning, match="i-LIDS") as caught:
        read(persons)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "476" in str(caught[0].message)
    assert "119" in str(caught[0].message)


def test_a_data_set_of_the_published_size_is_silent(tmp_path):
    """476 images of 119 identities, two at least."""
    assert EXPECTED == {"all": {"images": 476, "identities": 119, "cameras": 0}}
    touch(tmp_path, *(f"{image % 119 + 1:04d}{image // 119 + 1:03d}.jpg" for image in range(476)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(tmp_path)) == 476
