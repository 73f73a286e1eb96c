"""The parser of CUHK03, on both its layouts made of empty files."""

import warnings

import numpy as np
import pytest
from scipy.io import savemat

from gaaplib.datasets.cuhk03 import EXPECTED, VARIANTS, published, read
from gaaplib.datasets.records import check_records, counts

FILES = [
    "bounding_box_train/0001_c1_1.png",
    "bounding_box_train/0001_c2s1_000451_03.JPG",
    "bounding_box_train/1467_c1.jpeg",
    "query/0003_c1_22.png",
    "query/0003_c2_27.png",
    "bounding_box_test/0003_c1_21.png",
]
LISTED = ["1_001_1_01.png", "1_001_2_06.png", "1_002_1_01.png", "1_003_1_01.png", "1_003_1_02.png", "5_050_1_01.png"]
CONFIG = {
    "filelist": LISTED,
    "labels": [1, 1, 2, 3, 3, 9],
    "camId": [1, 2, 1, 1, 2, 1],
    "train_idx": [1, 2, 3],
    "query_idx": [5],
    "gallery_idx": [4],
}


def touch(home, *files):
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


def write_config(home, variant="detected", **changes):
    """A configuration as published: columns of small unsigned numbers, and a cell array of names."""
    values = {**CONFIG, **changes}
    table = {name: np.array(value).reshape(-1, 1) for name, value in values.items() if value is not None}
    table = {name: np.uint16(value) if value.dtype == int else value for name, value in table.items()}
    if "filelist" in table:
        table["filelist"] = table["filelist"].astype(object)
    savemat(home / f"cuhk03_new_protocol_config_{variant}.mat", table)


@pytest.fixture
def home(tmp_path):
    """A small complete copy with Market-1501's naming; no file is an image, so that a parser that opens one fails."""
    touch(tmp_path / "detected", *FILES)
    return tmp_path / "detected"


@pytest.fixture
def config_home(tmp_path):
    """A small complete copy with its configuration; the last image has no split."""
    touch(tmp_path / "images_detected", *LISTED)
    write_config(tmp_path)
    return tmp_path


def test_records_of_folders(home):
    records = read(home, expected=None)
    check_records(records)
    assert records.values.tolist() == [
        ["bounding_box_test/0003_c1_21.png", 3, 1, "gallery"],
        ["bounding_box_train/0001_c1_1.png", 1, 1, "train"],
        ["bounding_box_train/0001_c2s1_000451_03.JPG", 1, 2, "train"],
        ["bounding_box_train/1467_c1.jpeg", 1467, 1, "train"],
        ["query/0003_c1_22.png", 3, 1, "query"],
        ["query/0003_c2_27.png", 3, 2, "query"],
    ]


def test_records_of_a_configuration(config_home):
    records = read(config_home, expected=None)
    check_records(records)
    assert records.values.tolist() == [
        ["images_detected/1_001_1_01.png", 1, 1, "train"],
        ["images_detected/1_001_2_06.png", 1, 2, "train"],
        ["images_detected/1_002_1_01.png", 2, 1, "train"],
        ["images_detected/1_003_1_01.png", 3, 1, "gallery"],
        ["images_detected/1_003_1_02.png", 3, 2, "query"],
    ]


def test_numbers_may_be_matlabs_doubles(config_home):
    records = read(config_home, expected=None)
    write_config(config_home, labels=[1.0, 1.0, 2.0, 3.0, 3.0, 9.0], train_idx=[1.0, 2.0, 3.0])
    assert read(config_home, expected=None).equals(records)


def test_root_may_be_a_parent(home, tmp_path_factory):
    records = read(home, expected=None)
    from_parent = read(str(home.parent), expected=None)
    assert from_parent["path"].tolist() == [f"detected/{path}" for path in records["path"]]
    data = tmp_path_factory.mktemp("data")
    home.parent.rename(data / "cuhk03-np")
    assert read(data, expected=None)["path"].tolist() == [f"cuhk03-np/detected/{path}" for path in records["path"]]


def test_root_may_be_the_parent_of_a_configuration(config_home, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    config_home.rename(data / "cuhk03")
    assert read(data, expected=None)["path"][0] == "cuhk03/images_detected/1_001_1_01.png"


def test_the_variant_is_asked_for_or_is_the_one_there(home):
    touch(home.parent / "labeled", *FILES, "query/0004_c1_1.png")
    root = home.parent
    assert len(read(root, expected=None)) == len(read(root, expected=None, variant="detected")) == 6
    assert len(read(root, expected=None, variant="labeled")) == 7
    home.rename(root / "other")
    assert len(read(root, expected=None)) == 7
    with pytest.raises(FileNotFoundError, match="no detected CUHK03"):
        read(root, variant="detected")
    with pytest.raises(ValueError, match="variant is 'manual': it must be detected or labeled"):
        read(root, variant="manual")


def test_the_variant_is_not_in_a_parents_name(home, tmp_path_factory):
    parent = tmp_path_factory.mktemp("labeled") / "copy"
    home.rename(parent)
    with pytest.warns(UserWarning, match=r"CUHK03 \(detected\)"):
        read(parent)


def test_the_variant_of_a_configuration_is_in_its_name(config_home):
    touch(config_home / "images_labeled", *LISTED)
    write_config(config_home, "labeled", train_idx=[1, 3])
    assert len(read(config_home, expected=None)) == 5
    labeled = read(config_home, expected=None, variant="labeled")
    assert len(labeled) == 4
    assert labeled["path"].str.startswith("images_labeled/").all()


@pytest.mark.parametrize(("folder", "images"), [("detected", 7_365), ("labeled", 7_368), ("copy", 7_365)])
def test_counts_are_compared_with_those_of_the_variant(home, folder, images):
    home = home.rename(home.parent / folder)
    with pytest.warns(UserWarning, match="CUHK03") as caught:
        read(home)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(images) in str(caught[0].message)
    with pytest.warns(UserWarning, match="7368"):
        read(home, variant="labeled")


@pytest.mark.parametrize(
    ("folder", "variant"), [("detected", "detected"), ("labeled", "labeled"), ("copy", "detected")]
)
def test_the_published_counts_are_of_the_variant_that_is_read(home, folder, variant):
    home = home.rename(home.parent / folder)
    assert published(home) == EXPECTED[variant]
    assert published(home, "labeled") == EXPECTED["labeled"]
    assert VARIANTS == ("detected", "labeled")
    with pytest.raises(ValueError, match="variant is 'manual': it must be detected or labeled"):
        published(home, "manual")
    with pytest.raises(FileNotFoundError, match="no detected or labeled CUHK03"):
        published(home / "query")


def test_files_that_are_no_images_are_ignored(home):
    records = read(home, expected=None)
    touch(home, "query/Thumbs.db", "query/.DS_Store", "query/._0003_c1_22.png", "query/folder.png/inside.png")
    assert read(home, expected=None).equals(records)


@pytest.mark.parametrize("name", ["3_c1_1.png", "0003_c3_1.png", "0003_c12_1.png", "0000_c1_1.png", "-1_c1_1.png"])
def test_an_image_with_another_name_is_refused(home, name):
    touch(home, f"query/{name}")
    with pytest.raises(ValueError) as error:
        read(home, expected=None)
    message = str(error.value)
    assert f"1 of 3 images in {home / 'query'} are not named as CUHK03's" in message
    assert name in message
    assert "such as 0001_c1_1.png" in message


def test_an_empty_split_and_a_single_training_identity_are_named(home):
    (home / FILES[2]).unlink()
    with pytest.raises(ValueError, match="trains on identity 1 only"):
        read(home)
    (home / FILES[5]).unlink()
    with pytest.raises(ValueError, match="bounding_box_test has no image"):
        read(home)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"filelist": None, "camId": None}, "has no filelist, camId: it must have"),
        ({"labels": [1, 1, 2]}, "6 names in filelist, 3 labels and 6 camId"),
        ({"camId": [1, 2, 1, 1, 3, 1]}, "has 3 as number 5 of camId: it must be a whole number from 1 to 2"),
        ({"labels": [1, 1, 2, 3, 1468, 9]}, "has 1468 as number 5 of labels"),
        ({"labels": [1, 1, 2, 3, 2.5, 9]}, "has 2.5 as number 5 of labels"),
        ({"labels": [1, 1, 2, 3, np.nan, 9]}, "has nan as number 5 of labels"),
        ({"labels": list("abcdef")}, "labels of type"),
        ({"query_idx": [0]}, "has 0 as number 1 of query_idx: it must be a whole number from 1 to 6"),
        ({"gallery_idx": [7]}, "has 7 as number 1 of gallery_idx"),
        ({"train_idx": []}, "has an empty train_idx"),
        ({"train_idx": [1, 2, 3, 4]}, "images_detected/1_003_1_01.png.*occurs before"),
    ],
)
def test_a_wrong_configuration_is_refused(config_home, changes, why):
    write_config(config_home, **changes)
    with pytest.raises(ValueError, match=why):
        read(config_home, expected=None)


@pytest.mark.parametrize("content", [b"", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400), b"x" * 999])
def test_a_configuration_that_is_no_matlab_v5_is_named(config_home, content):
    (config_home / "cuhk03_new_protocol_config_detected.mat").write_bytes(content)
    with pytest.raises(ValueError, match="config_detected.mat is not a complete MATLAB file of format v5"):
        read(config_home)


def test_images_that_the_configuration_uses_must_be_in_its_folder(config_home):
    (config_home / "images_detected" / LISTED[5]).unlink()  # has no split
    assert len(read(config_home, expected=None)) == 5
    (config_home / "images_detected" / LISTED[4]).unlink()
    with pytest.raises(FileNotFoundError, match="1 of 5 images that .* lists are not in .*, first 1_003_1_02.png"):
        read(config_home)


@pytest.mark.parametrize("name", ["../1_001_1_01.png", "/1_001_1_01.png", "sub/1_001_1_01.png"])
def test_a_listed_name_must_be_a_plain_one(config_home, name):
    touch(config_home, "1_001_1_01.png", "images_detected/sub/1_001_1_01.png")
    write_config(config_home, filelist=[name, *LISTED[1:]])
    with pytest.raises(FileNotFoundError, match="1 of 5 images"):
        read(config_home)


def test_both_layouts_are_refused(home, config_home):
    with pytest.raises(ValueError, match="more than one detected CUHK03") as error:
        read(config_home)
    assert f": {home}; {config_home}: give" in str(error.value)
    assert len(read(home, expected=None)) == 6


@pytest.mark.parametrize("missing", ["images_detected", "cuhk03_new_protocol_config_detected.mat"])
def test_no_or_half_a_layout_is_named_with_what_is_there(config_home, missing):
    (config_home / missing).rename(config_home / "other")
    with pytest.raises(FileNotFoundError) as error:
        read(config_home)
    message = str(error.value)
    assert "no detected or labeled CUHK03" in message
    assert message.endswith("other")


def test_a_data_set_of_the_published_size_is_silent(tmp_path):
    """14,096 and 14,097 images are used, all that the published configurations list."""
    sizes = {name: [split["images"] for split in splits.values()] for name, splits in EXPECTED.items()}
    assert sizes == {"detected": [7_365, 1_400, 5_332], "labeled": [7_368, 1_400, 5_328]}
    names = [f"{index:05d}.png" for index in range(14_096)]
    touch(tmp_path / "images_labeled", *names)
    first, second = np.arange(7_368), np.arange(14_096 - 7_368)
    write_config(
        tmp_path,
        "labeled",
        filelist=names,
        labels=[*(first % 767 + 1), *(second % 700 + 768)],
        camId=[*(first // 767 % 2 + 1), *(second // 700 % 2 + 1)],
        train_idx=first + 1,
        query_idx=second[:1_400] + 7_369,
        gallery_idx=second[1_400:] + 7_369,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = read(tmp_path)
    assert counts(records).to_dict("index") == EXPECTED["labeled"]
