"""Data sets that are folders and a pattern: what is read, by person, camera and split. Bad input: test_bad_input.py."""

import warnings

import made_layouts
import pytest

from gaaplib import datasets
from gaaplib.config import RunConfig
from gaaplib.datasets import DATASETS, patterns
from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA
from gaaplib.datasets.splits import protocol_split

# (pid, camid, split) of each image of made_layouts, in the order of their paths.
EXPECTED = {
    "dukemtmc": [(2, 3, "gallery"), (1, 2, "train"), (5, 1, "train"), (2, 1, "query")],
    "occluded_duke": [(2, 3, "gallery"), (1, 2, "train"), (5, 1, "train"), (2, 1, "query")],
    # Test persons are numbered from 0 again; 1,041 are trained on.
    "msmt17": [(1042, 1, "query"), (1042, 14, "gallery"), (1, 1, "train"), (2, 1, "train"), (3, 1, "train")],
    "veri776": [(2, 2, "query"), (2, 3, "gallery"), (1, 1, "train"), (3, 2, "train")],
    "cuhk01": [(1, 1, "all"), (1, 1, "all"), (1, 2, "all"), (2, 1, "all")],
    "viper": [(1, 1, "all"), (2, 1, "all"), (1, 2, "all"), (2, 2, "all")],
    "grid": [(DISTRACTOR, 5, "all"), (1, 2, "all"), (1, 1, "all")],
    # Of the persons above 200, those of camera A are left out, and those of B are distractors.
    "prid2011": [(1, 1, "all"), (2, 1, "all"), (1, 2, "all"), (2, 2, "all"), (DISTRACTOR, 2, "all")],
    "partial_reid": [(1, UNKNOWN_CAMERA, "query"), (1, UNKNOWN_CAMERA, "gallery")],
    "occluded_reid": [(1, UNKNOWN_CAMERA, "query"), (1, UNKNOWN_CAMERA, "gallery")],
    "pytorch_folders": [(1, 3, "gallery"), (1, 1, "query"), (2, 1, "train"), (7, 2, "train")],
}


def rows(records):
    return list(records[["pid", "camid", "split"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("name", made_layouts.FILES)
def test_names_give_person_camera_and_split(tmp_path, name):
    made_layouts.write(name, tmp_path)
    records = DATASETS[name].read(tmp_path, expected=None)
    assert rows(records) == EXPECTED[name]
    assert all((tmp_path / path).is_file() for path in records.path)
    for home in DATASETS[name].homes:
        made_layouts.write(name, tmp_path / "above" / home)
        within = DATASETS[name].read(tmp_path / "above", expected=None)
        assert rows(within) == EXPECTED[name]
        (tmp_path / "above").rename(tmp_path / home)


def test_each_row_has_files_here():
    assert set(made_layouts.FILES) == set(patterns.LAYOUTS) - {"market1501"}
    assert set(patterns.LAYOUTS) < set(DATASETS)


@pytest.mark.parametrize("name", made_layouts.FILES)
def test_other_counts_than_the_published_ones_give_one_warning(tmp_path, name):
    made_layouts.write(name, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        DATASETS[name].read(tmp_path)
    assert len(caught) == (DATASETS[name].EXPECTED is not None)
    assert all("differs from the published data set" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("name", [name for name in made_layouts.FILES if DATASETS[name].EXPECTED])
def test_published_counts_are_consistent(name):
    counts = DATASETS[name].EXPECTED
    assert set(counts) in ({"all"}, {"query", "gallery"}, {"train", "query", "gallery"})
    assert all(numbers["images"] >= numbers["identities"] > 0 for numbers in counts.values())
    if "query" in counts:
        assert counts["query"]["identities"] <= counts["gallery"]["identities"]
    assert ("train" in counts or "all" in counts) == (DATASETS[name].TRAINED_ON is None)
    if DATASETS[name].TRAINED_ON:
        config = RunConfig(dataset=name, data="x", train_data="y", precision="float32")
        assert config.train_dataset == "market1501"


def test_junk_is_left_out_and_a_part_with_junk_only_is_refused(tmp_path):
    made_layouts.write("pytorch_folders", tmp_path)
    before = DATASETS["pytorch_folders"].read(tmp_path)
    (tmp_path / "gallery/-1").mkdir()
    (tmp_path / "gallery/-1/-1_c1s1_1_1.jpg").touch()
    assert DATASETS["pytorch_folders"].read(tmp_path).equals(before)
    (tmp_path / "gallery/0001/0001_c3s1_008976_01.jpg").unlink()
    with pytest.raises(ValueError, match="gallery has no image besides junk"):
        DATASETS["pytorch_folders"].read(tmp_path)


def test_one_training_identity_is_too_few(tmp_path):
    made_layouts.write("dukemtmc", tmp_path)
    (tmp_path / "bounding_box_train/0005_c1_f0051341.jpg").unlink()
    with pytest.raises(ValueError, match="trains on identity 1 only"):
        DATASETS["dukemtmc"].read(tmp_path, expected=None)


def test_occluded_dukes_lists_choose_among_dukes_images(tmp_path):
    made_layouts.write("dukemtmc", tmp_path)
    (tmp_path / "train.list").write_text("0001_c2_f0046182.jpg\n0005_c1_f0051341.jpg\n")
    # As in the published lists, a query may be an image of DukeMTMC-reID's gallery.
    (tmp_path / "query.list").write_text("0002_c3_f0055341.jpg\n")
    (tmp_path / "bounding_box_test/0002_c4_f0055342.jpg").touch()
    (tmp_path / "gallery.list").write_text("0002_c4_f0055342.jpg\n")
    records = DATASETS["occluded_duke"].read(tmp_path, expected=None)
    chosen = dict(zip(records.path, records.split, strict=True))
    assert chosen == {
        "bounding_box_train/0001_c2_f0046182.jpg": "train",
        "bounding_box_train/0005_c1_f0051341.jpg": "train",
        "bounding_box_test/0002_c3_f0055341.jpg": "query",
        "bounding_box_test/0002_c4_f0055342.jpg": "gallery",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "0009/0009_000_01_0303morning_0008_0.jpg 9\n",
            "line 1: path '0009/0009_000_01_0303morning_0008_0.jpg' is not",
        ),
        ("../x.jpg 0\n", "line 1: path '../x.jpg' leaves"),
        ("\n", "is empty"),
        ("0000/0000_000_01_0303morning_0030_0.jpg 0\n" * 2, "line 2: .* is in line 1 too"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(tmp_path, text, reason):
    made_layouts.write("msmt17", tmp_path)
    (tmp_path / "list_query.txt").write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        DATASETS["msmt17"].read(tmp_path, expected=None)
    assert str(tmp_path / "list_query.txt") in str(caught.value)


def test_msmt17_is_not_read_without_its_lists(tmp_path):
    made_layouts.write("msmt17", tmp_path)
    (tmp_path / "list_gallery.txt").unlink()
    with pytest.raises(FileNotFoundError, match="no MSMT17 in"):
        DATASETS["msmt17"].read(tmp_path)


def test_the_second_version_of_msmt17_has_other_folders(tmp_path):
    made_layouts.write("msmt17", tmp_path)
    first = rows(DATASETS["msmt17"].read(tmp_path, expected=None))
    (tmp_path / "train").rename(tmp_path / "mask_train_v2")
    (tmp_path / "test").rename(tmp_path / "mask_test_v2")
    assert sorted(rows(DATASETS["msmt17"].read(tmp_path, expected=None))) == sorted(first)


@pytest.mark.parametrize("name", ["cuhk01", "viper", "prid2011"])
def test_sets_without_a_split_are_split_by_persons(tmp_path, name):
    """Ten persons with an image from each camera: every query has a match."""
    names = {
        "cuhk01": "campus/{0:04d}001.png campus/{0:04d}003.png",
        "viper": "cam_a/{0:03d}_45.bmp cam_b/{0:03d}_90.bmp",
        "prid2011": "single_shot/cam_a/person_{0:04d}.png single_shot/cam_b/person_{0:04d}.png",
    }[name]
    for pid in range(1, 11):
        for file in names.format(pid).split():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
    split = protocol_split(DATASETS[name].read(tmp_path, expected=None), training_images="all")
    assert split.groupby("role").pid.nunique().to_dict() == {"gallery": 2, "query": 2, "train": 8}


@pytest.mark.parametrize("name", made_layouts.FILES)
def test_a_folder_is_recognised_and_the_advice_names_it(tmp_path, name):
    made_layouts.write(name, tmp_path)
    like = datasets.looks_like(tmp_path)
    assert name in like
    # Occluded-Duke has DukeMTMC-reID's names.
    assert set(like) - {name} <= {"dukemtmc", "occluded_duke"}
    for other in ("folder", "market1501", "raid"):
        with pytest.raises((FileNotFoundError, ValueError), match=f"The folder looks like .*{name} \\(") as caught:
            datasets.read(other, tmp_path)
        assert str(caught.value).endswith("give this name instead")


def test_nothing_is_advised_for_a_folder_of_no_known_layout(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert datasets.looks_like(tmp_path) == datasets.looks_like(tmp_path / "missing") == []
    with pytest.raises(FileNotFoundError) as caught:
        datasets.read("viper", tmp_path)
    assert "looks like" not in str(caught.value)


def test_each_data_set_is_described_in_one_line():
    for name in DATASETS:
        assert len(datasets.about(name)) < 120 and datasets.about(name).endswith(".")
