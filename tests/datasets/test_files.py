import re

import numpy as np
import pytest
from scipy.io import savemat

from gaaplib import matlab as reader
from gaaplib.datasets.files import (
    folders_in,
    found_in,
    images_in,
    is_archive,
    listed_image,
    named_images,
    one_home,
    read_matlab,
    read_text,
    refuse,
    wrong_case,
)

PATTERN = re.compile(r"\d+\.jpg")


@pytest.fixture
def home(tmp_path):
    for name in ("2.jpg", "10.JPG", "1.jpg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/3.jpg").touch()
    return tmp_path


def test_images_are_sorted_and_hidden_files_and_folders_are_none(home):
    assert images_in(home, home) == ["1.jpg", "10.JPG", "2.jpg"]
    assert images_in(home / "deep", home) == ["3.jpg"]


def test_names_that_do_not_match_are_named(home):
    with pytest.raises(ValueError, match=r"1 of 3 images .*10\.JPG: expected <number>\.jpg"):
        named_images(home, home, PATTERN, "Somebody", "<number>.jpg")
    (home / "10.JPG").unlink()
    images = named_images(home, home, PATTERN, "Somebody", "<number>.jpg")
    assert [(path, match[0]) for path, match in images] == [("1.jpg", "1.jpg"), ("2.jpg", "2.jpg")]
    (image,) = named_images(home / "deep", home, PATTERN, "Somebody", "<number>.jpg")
    assert image[0] == "deep/3.jpg"


def test_a_folder_without_images_is_named(home):
    (home / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no image"):
        named_images(home / "empty", home, PATTERN, "Somebody", "<number>.jpg")


def test_what_is_there_is_told(home):
    assert found_in(home / "nothing") == "no such file or folder"
    assert found_in(home / "1.jpg") == "a file, not a folder"
    assert found_in(home / "deep") == "3.jpg"


@pytest.mark.parametrize(("text", "path"), [("deep/3.jpg", "deep/3.jpg"), (" deep\\3.jpg ", "deep/3.jpg")])
def test_a_listed_image_becomes_a_posix_path(home, text, path):
    assert listed_image(home, text, home) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "empty"),
        ("../1.jpg", "leaves"),
        ("deep/../../1.jpg", "leaves"),
        ("/1.jpg", "leaves"),
        ("C:\\1.jpg", "leaves"),
        ("notes.txt", "not an image"),
        ("9.jpg", "is not in"),
    ],
)
def test_a_wrong_path_in_a_list_is_refused(home, text, message):
    with pytest.raises(ValueError, match=message):
        listed_image(home, text, home)


def test_a_listed_image_may_be_a_link_within_the_root_only(home):
    (home / "deep/link.jpg").symlink_to(home / "1.jpg")
    assert listed_image(home / "deep", "link.jpg", home) == "link.jpg"
    with pytest.raises(ValueError, match=f"link.jpg is a symbolic link to {home}/1.jpg, outside of {home}/deep"):
        listed_image(home / "deep", "link.jpg", home / "deep")


def test_folders_are_sorted_without_hidden_ones_and_those_of_a_system(home):
    for name in ("b", ".a", "__MACOSX", "a"):
        (home / name).mkdir()
    (home / "c").symlink_to(home / "a")
    assert folders_in(home, home) == ["a", "b", "c", "deep"]
    (home / "gone").symlink_to(home / "nowhere")
    with pytest.raises(ValueError, match=f"{home}/gone is a symbolic link to {home}/nowhere, which does not exist"):
        folders_in(home, home)


def test_links_in_a_circle_are_told(home):
    (home / "3.jpg").symlink_to(home / "4.jpg")
    (home / "4.jpg").symlink_to(home / "3.jpg")
    with pytest.raises(ValueError, match="is a symbolic link to .*, which does not exist"):
        images_in(home, home)


def test_a_name_is_in_the_wrong_case_only_where_the_right_one_is_not(tmp_path):
    for name in ("Query", "gallery"):
        (tmp_path / name).mkdir()
    assert wrong_case(tmp_path, ["query", "gallery"]) == [f"{tmp_path}/Query differs in case: rename it to query"]
    (tmp_path / "query").mkdir(exist_ok=True)
    assert wrong_case(tmp_path, ["query", "gallery"]) == []
    assert wrong_case(tmp_path / "nowhere", ["query"]) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.TGZ", "a.mat.gz", "a.7z", "a.rar", "a.tar.xz", "a.tar.bz2"])
def test_an_archive_is_told_by_its_name(name):
    assert is_archive(name)
    assert not is_archive("a.mat")


def test_a_file_where_a_folder_is_wanted_and_the_reverse_are_told(home):
    with pytest.raises(FileNotFoundError) as error:
        one_home([], home, "Somebody", "tree", homes=["notes.txt"], names=["1.jpg", "deep", "deep.mat"])
    assert f"{home / 'notes.txt'} is a file: it must be a folder" in str(error.value)
    (home / "deep.mat").mkdir()
    with pytest.raises(FileNotFoundError, match="deep.mat is a folder: it must be a file$"):
        one_home([], home, "Somebody", "tree", names=["deep", "deep.mat"])


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


@pytest.fixture
def matlab(tmp_path):
    names = np.array(["a.png", "b.png"], dtype=object)
    savemat(tmp_path / "one.mat", {"names": names, "ids": [[1, 2], [3, 4]], "other": 5})
    savemat(tmp_path / "two.mat", {"names": np.array([7.5, "b"], dtype=object)})
    return [tmp_path / "one.mat", tmp_path / "two.mat"]


def test_variables_of_matlab_are_lists(matlab):
    found = read_matlab(matlab, ["names", "ids"])
    assert found == [{"names": ["a.png", "b.png"], "ids": [1, 2, 3, 4]}, {"names": [7.5, "b"]}]
    assert read_matlab(matlab, []) == [{"names": [1, 2], "ids": [2, 2], "other": [1, 1]}, {"names": [1, 2]}]


def test_a_cell_that_is_no_text_or_number_is_kept_as_words(tmp_path):
    savemat(tmp_path / "odd.mat", {"names": np.array([[1, 2], {"a": 1}], dtype=object)})
    (found,) = read_matlab([tmp_path / "odd.mat"], ["names"])
    assert len(found["names"]) == 2 and all(isinstance(name, str) for name in found["names"])


def test_the_matlab_file_that_cannot_be_read_is_named(matlab):
    content = matlab[1].read_bytes()
    for damaged in (b"", content[:200], b"x" * 999):
        matlab[1].write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{matlab[1]} is not a complete MATLAB file of format v5 .*download it"):
            read_matlab(matlab, ["names"])


def test_the_matlab_file_that_crashes_scipy_is_named(matlab, tmp_path, monkeypatch):
    deadly = tmp_path / "deadly.py"
    deadly.write_text("import os; print('[]', flush=True); os.abort()")
    monkeypatch.setattr(reader, "SCRIPT", deadly)
    with pytest.raises(ValueError, match=f"{matlab[1]} is not a complete MATLAB file .*SciPy crashes on it"):
        read_matlab(matlab, ["names"])


def test_a_matlab_file_whose_head_says_too_much_is_refused_before_memory_is_asked_for(matlab):
    content = matlab[0].read_bytes()
    shape = np.array([1, 2], np.int32).tobytes()
    matlab[0].write_bytes(content.replace(shape, np.array([1, 2**30], np.int32).tobytes(), 1))
    with pytest.raises(ValueError, match=f"{matlab[0]} .*names has the shape .1, 1073741824., too much for the file's"):
        read_matlab(matlab, ["names"])
