import re

import pytest

from gaaplib.datasets.files import found_in, images_in, listed_image, named_images, read_text, refuse

PATTERN = re.compile(r"\d+\.jpg")


@pytest.fixture
def home(tmp_path):
    for name in ("2.jpg", "10.JPG", "1.jpg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/3.jpg").touch()
    return tmp_path


def test_images_are_sorted_and_hidden_files_and_folders_are_none(home):
    assert [file.name for file in images_in(home)] == ["1.jpg", "10.JPG", "2.jpg"]


def test_names_that_do_not_match_are_named(home):
    with pytest.raises(ValueError, match=r"1 of 3 images .*10\.JPG: expected <number>\.jpg"):
        named_images(home, PATTERN, "Somebody", "<number>.jpg")
    (home / "10.JPG").unlink()
    assert [match[0] for _, match in named_images(home, PATTERN, "Somebody", "<number>.jpg")] == ["1.jpg", "2.jpg"]


def test_a_folder_without_images_is_named(home):
    (home / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no image"):
        named_images(home / "empty", PATTERN, "Somebody", "<number>.jpg")


def test_what_is_there_is_told(home):
    assert found_in(home / "nothing") == "no such folder"
    assert found_in(home / "1.jpg") == "a file, not a folder"
    assert found_in(home / "deep") == "3.jpg"


@pytest.mark.parametrize(("text", "path"), [("deep/3.jpg", "deep/3.jpg"), (" deep\\3.jpg ", "deep/3.jpg")])
def test_a_listed_image_becomes_a_posix_path(home, text, path):
    assert listed_image(home, text) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "empty"),
        ("../1.jpg", "leaves"),
        ("deep/../../1.jpg", "leaves"),
        ("/1.jpg", "leaves"),
        ("C:\\1.jpg", "leaves"),
        ("notes.txt", "no image"),
        ("9.jpg", "is not in"),
    ],
)
def test_a_wrong_path_in_a_list_is_refused(home, text, message):
    with pytest.raises(ValueError, match=message):
        listed_image(home, text)


def test_text_may_have_a_byte_order_mark_and_has_to_be_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfpath,pid")
    assert read_text(tmp_path / "a.csv") == "path,pid"
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="b.csv is not UTF-8"):
        read_text(tmp_path / "b.csv")


def test_problems_are_listed_ten_at_most(tmp_path):
    refuse(tmp_path / "a.csv", [])
    with pytest.raises(ValueError, match=r"a.csv cannot be used:(.|\n)*line 9\n.*12 problems in all"):
        refuse(tmp_path / "a.csv", [f"line {number}" for number in range(12)])
