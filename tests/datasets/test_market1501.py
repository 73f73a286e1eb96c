"""The parser of Market-1501, on its true layout made of empty files and on a real sample."""

import warnings
from pathlib import Path

import pytest

from gaaplib.datasets import market1501
from gaaplib.datasets.market1501 import EXPECTED, LAYOUT, VARIANTS, published, read
from gaaplib.datasets.records import check_records, counts

SAMPLE = Path(__file__).parents[3] / "shared/real/pku-sample"
FILES = [
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0002_c2s1_000301_01.JPG",
    "bounding_box_train/0007_c6s4_005127_02.jpeg",
    "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
    "bounding_box_test/0000_c4s6_000151_01.png",
    "bounding_box_test/0001_c3s1_008976_01.jpg",
]

SMALL = {
    "train": {"images": 129, "identities": 25, "cameras": 6},
    "query": {"images": 34, "identities": 24, "cameras": 6},
    "gallery": {"images": 159, "identities": 25, "cameras": 6},
}


@pytest.fixture
def home(tmp_path):
    """A small complete Market-1501; no file is an image, so that a parser that opens one fails."""
    for file in FILES:
        touch(tmp_path / LAYOUT.homes[0], file)
    return tmp_path / LAYOUT.homes[0]


def touch(home, *files):
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


def test_records(home):
    records = read(home, expected=None)
    check_records(records)
    assert records.values.tolist() == [
        ["bounding_box_test/0000_c4s6_000151_01.png", 0, 4, "gallery"],
        ["bounding_box_test/0001_c3s1_008976_01.jpg", 1, 3, "gallery"],
        ["bounding_box_train/0002_c1s1_000451_03.jpg", 2, 1, "train"],
        ["bounding_box_train/0002_c2s1_000301_01.JPG", 2, 2, "train"],
        ["bounding_box_train/0007_c6s4_005127_02.jpeg", 7, 6, "train"],
        ["query/0001_c1s1_001051_00.jpg", 1, 1, "query"],
    ]


def test_root_may_be_the_folder_or_its_parent_or_of_any_name(home):
    records = read(str(home), expected=None)
    from_parent = read(home.parent, expected=None)
    assert from_parent["path"].tolist() == [f"{LAYOUT.homes[0]}/{path}" for path in records["path"]]
    # A folder named like an image must not be taken for the image's name.
    renamed = home.rename(home.parent / "0009_c5s1_000001_00.jpg")
    assert read(renamed, expected=None).equals(records)


def test_files_that_are_no_images_are_ignored(home):
    records = read(home, expected=None)
    touch(
        home,
        "query/Thumbs.db",
        "query/readme.txt",
        "query/.DS_Store",
        "query/0001",
        "query/._0001_c1s1_001051_00.jpg",
        "bounding_box_train/folder.jpg/inside.jpg",
        "gt_query/0001_c1s1_001051_00_good.mat",
        "readme.txt",
    )
    assert read(home, expected=None).equals(records)


@pytest.mark.parametrize(
    "name",
    [
        "0003_c1s1_000001.jpg",
        "3_c1s1_000001_00.jpg",
        "0003_c7s1_000001_00.jpg",
        "0003_c0s1_000001_00.jpg",
        "x0003_c1s1_000001_00.jpg",
        "0003_c1s1_000001_00.jpg.jpg",
        "-2_c1s1_000001_00.jpg",
        "0003_c1s1_000001_00.bmp",
        "000\u0663_c1s1_000001_00.jpg",
    ],
)
def test_an_image_with_another_name_is_refused(home, name):
    touch(home, f"query/{name}")
    with pytest.raises(ValueError) as error:
        read(home, expected=None)
    message = str(error.value)
    assert f"1 of 2 images in {home / 'query'}" in message
    assert name in message
    assert "0002_c1s1_000451_03.jpg" in message
    assert "unpack the data set again" in message


def test_many_other_names_are_counted_and_the_first_three_shown(home):
    touch(home, *(f"bounding_box_train/cat{index}.png" for index in range(5)))
    with pytest.raises(ValueError, match=r"5 of 8 images .*first cat0.png, cat1.png, cat2.png:"):
        read(home, expected=None)


def test_a_missing_folder_is_named_with_what_is_there(home):
    for file in (home / "query").iterdir():
        file.unlink()
    (home / "query").rmdir()
    with pytest.raises(FileNotFoundError) as error:
        read(home)
    message = str(error.value)
    assert message.endswith(f"found in {home}: bounding_box_test, bounding_box_train")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda root: None, "no such file or folder"),
        (lambda root: root.mkdir(), "found in .*: nothing"),
        (lambda root: touch(root, *(f"{n:02d}.txt" for n in range(11))), r"08.txt, 09.txt, \.\.\.$"),
    ],
)
def test_a_wrong_root_is_named_with_what_is_there(tmp_path, make, found):
    make(tmp_path / "data")
    with pytest.raises(FileNotFoundError, match=found):
        read(tmp_path / "data")


@pytest.mark.parametrize("folder", ["bounding_box_train", "query", "bounding_box_test"])
def test_an_empty_split_is_named(home, folder):
    for file in (home / folder).iterdir():
        file.unlink()
    touch(home, f"{folder}/-1_c1s1_000401_03.jpg", f"{folder}/readme.txt")
    with pytest.raises(ValueError, match=f"{folder} has no image besides junk"):
        read(home)


@pytest.mark.parametrize("folder", ["bounding_box_train", "query"])
def test_a_distractor_outside_the_gallery_is_named(home, folder):
    touch(home, f"{folder}/0000_c1s1_000151_01.jpg")
    with pytest.raises(ValueError, match=f"{folder}/0000_c1s1_000151_01.jpg.*gallery only"):
        read(home)


def test_a_single_training_identity_is_named(home):
    (home / FILES[2]).unlink()
    with pytest.raises(ValueError, match="bounding_box_train has images of identity 2 only"):
        read(home)


def test_counts_other_than_published_are_one_warning(home):
    with pytest.warns(UserWarning) as caught:
        read(home)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for number in ("12936", "3368", "15913", "751", "750"):
        assert number in str(caught[0].message)


def test_expected_counts_are_silent(home):
    expected = counts(read(home, expected=None)).to_dict("index")
    assert expected["train"] == {"images": 3, "identities": 2, "cameras": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(home, expected=expected)


def test_published_counts_are_of_every_file_but_junk():
    """19,732 files in the official test folder; the gallery's identities are the queries' and the distractor."""
    assert EXPECTED == {
        "train": {"images": 12_936, "identities": 751, "cameras": 6},
        "query": {"images": 3_368, "identities": 750, "cameras": 6},
        "gallery": {"images": 19_732 - 3_819, "identities": 750 + 1, "cameras": 6},
    }


def test_a_data_set_of_the_expected_size_is_silent(tmp_path):
    """Odd identities train and even ones are tested, as published; junk counts nowhere, the distractor as one."""

    def spread(folder, pids, images, junk=0):
        (tmp_path / folder).mkdir()
        for index in range(images):
            pid, camera = pids[index % len(pids)], index % 6 + 1
            (tmp_path / folder / f"{pid:04d}_c{camera}s1_{index:06d}_00.jpg").touch()
        for index in range(junk):
            (tmp_path / folder / f"-1_c1s1_{index:06d}_00.jpg").touch()

    spread("bounding_box_train", range(1, 50, 2), 129)
    spread("query", range(2, 50, 2), 34)
    spread("bounding_box_test", range(0, 50, 2), 159, junk=38)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = read(tmp_path, expected=SMALL)
    assert counts(records).to_dict("index") == SMALL


DISTRACTORS = ["0000_c2s1_000007_00.jpg", "0000_c6.JPG", "-1_c1s1_000401_03.jpg", "000007.jpg"]


@pytest.mark.parametrize(
    "folder",
    [
        f"{LAYOUT.homes[0]}/images",
        "images",
        f"{LAYOUT.homes[0]}/distractors_500k",
        f"{LAYOUT.homes[0]}/distractors_500k/images",
        "distractors_500k",
        "distractors_500k/images",
    ],
)
def test_the_variant_adds_distractors_wherever_they_circulate(home, folder):
    """Junk is dropped there too, and a distractor whose name gives no camera has one that no query has."""
    root = home.parent
    records = read(root, expected=None)
    touch(root, *(f"{folder}/{name}" for name in DISTRACTORS))
    assert read(root, expected=None).equals(records)
    with_distractors = read(root, expected=None, variant="500k")
    check_records(with_distractors)
    added = with_distractors[~with_distractors["path"].isin(records["path"])]
    assert added.values.tolist() == [
        [f"{folder}/000007.jpg", 0, 0, "gallery"],
        [f"{folder}/0000_c2s1_000007_00.jpg", 0, 2, "gallery"],
        [f"{folder}/0000_c6.JPG", 0, 6, "gallery"],
    ]
    assert len(with_distractors) == len(records) + 3


@pytest.mark.parametrize(
    "name", ["0001_c1s1_000001_00.jpg", "0000_c7s1_000001_00.jpg", "0000_c0.jpg", "x_c12.jpg", "a.bmp"]
)
def test_what_is_no_distractor_is_refused(home, name):
    touch(home, f"images/{DISTRACTORS[0]}", f"images/{name}")
    with pytest.raises(ValueError, match=f"1 of 2 images in {home}/images .*{name}.*such as 0000_c1s1_000151_01.jpg"):
        read(home, variant="500k")


def test_missing_distractors_are_named_with_their_archive(home):
    touch(home, "distractors_500k.zip", "Images/0000_c1.jpg")
    with pytest.raises(FileNotFoundError, match="no distractors of Market-1501 in ") as error:
        read(home, variant="500k")
    message = str(error.value)
    assert f"{home / 'distractors_500k.zip'} is packed: unpack it" in message
    assert f"{home / 'Images'} differs in case: rename it to images" in message
    assert "distractors_500k/images/0000_c1s1_000151_01.jpg" in message


def test_distractors_in_two_places_are_refused(home):
    touch(home, f"images/{DISTRACTORS[0]}", f"distractors_500k/{DISTRACTORS[0]}")
    with pytest.raises(ValueError, match=f"more than one .*: {home}/images; {home}/distractors_500k:"):
        read(home, variant="500k")


def test_the_published_counts_of_the_variant(home, monkeypatch):
    assert published(home) == EXPECTED
    with_distractors = {**EXPECTED, "gallery": {"images": 515_913, "identities": 751, "cameras": 6}}
    assert published(home, "500k") == with_distractors
    assert published(home) == EXPECTED
    touch(home, "images/0000_c4s1_000007_00.jpg")
    with pytest.warns(UserWarning, match=r"Market-1501 \(500k\) on disk(.|\n)* 515913 "):
        read(home, variant="500k")
    monkeypatch.setattr(market1501, "EXPECTED", counts(read(home, expected=None)).to_dict("index"))
    monkeypatch.setattr(market1501, "DISTRACTORS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(home, market1501.EXPECTED, "500k")


@pytest.mark.parametrize("call", [published, lambda root, variant: read(root, None, variant)])
def test_an_unknown_variant_is_named_with_the_known_ones(home, call):
    assert VARIANTS == ("500k",)
    with pytest.raises(ValueError, match="variant is '500K': it must be 500k, or None"):
        call(home, "500K")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not on this machine")
def test_the_real_sample():
    records = read(SAMPLE, expected=None)
    assert counts(records).to_dict("index") == {
        "train": {"images": 991, "identities": 62, "cameras": 2},
        "query": {"images": 24, "identities": 12, "cameras": 2},
        "gallery": {"images": 168, "identities": 12, "cameras": 2},
    }
