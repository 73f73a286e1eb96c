"""The parser of RPIfield, on its true layout made of empty files, on small annotation and on the real one."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from gaaplib.datasets.records import DISTRACTOR, check_records, counts
from gaaplib.datasets.rpifield import EXPECTED, read, read_annotation

REAL = Path(__file__).parents[3] / "shared/real/rpifield-metadata"
FILES = [
    "Cam_1/2/Cam_1f_44841.png",
    "Cam_1/2/Cam_1f_5.png",
    "Cam_1/2_1/Cam_1f_67001.PNG",
    "Cam_1/10001_2/Cam_1f_44841.png",
    "Cam_2/112/Cam_2f_9.jpg",
    *(f"Cam_{camid}/15107/Cam_{camid}f_77.png" for camid in range(3, 13)),
]
ROWS = [
    ["Cam_1/10001_2/Cam_1f_44841.png", 0, 1, "all"],
    ["Cam_1/2/Cam_1f_44841.png", 2, 1, "all"],
    ["Cam_1/2/Cam_1f_5.png", 2, 1, "all"],
    ["Cam_1/2_1/Cam_1f_67001.PNG", 2, 1, "all"],
    ["Cam_10/15107/Cam_10f_77.png", 0, 10, "all"],
    ["Cam_11/15107/Cam_11f_77.png", 0, 11, "all"],
    ["Cam_12/15107/Cam_12f_77.png", 0, 12, "all"],
    ["Cam_2/112/Cam_2f_9.jpg", 112, 2, "all"],
    *([f"Cam_{camid}/15107/Cam_{camid}f_77.png", 0, camid, "all"] for camid in range(3, 10)),
]


@pytest.fixture
def home(tmp_path):
    """The images of a small complete RPIfield; none is an image, so that a parser that opens one fails."""
    touch(tmp_path / "RPIfield/Data", *FILES)
    return tmp_path / "RPIfield/Data"


def touch(home, *files):
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


def annotate(folder, files=FILES, **changes):
    """Write the annotation of these files as MATLAB does: backslashes, cells of text, one file a camera."""
    folder.mkdir(parents=True, exist_ok=True)
    for camid in range(1, 13):
        names = [file.partition("/")[2] for file in files if file.startswith(f"Cam_{camid}/")]
        variables = {
            "allimagenames": cells(name.replace("/", "\\") for name in names),
            "ids": cells(name.partition("/")[0] for name in names),
            "timestamps": np.array(
                [[int(name.partition("f_")[2].partition(".")[0])] for name in names], dtype=np.int32
            ),
        }
        variables |= changes if camid == 1 else {}
        savemat(folder / f"Cam_{camid}.mat", {name: value for name, value in variables.items() if value is not None})


def cells(texts):
    return np.array([*texts, None], dtype=object)[None, :-1]


def test_records(home):
    records = read(home, expected=None)
    check_records(records)
    assert records.values.tolist() == ROWS


def test_root_may_be_data_or_the_folder_above_or_of_any_name(home):
    records = read(str(home), expected=None)
    from_parent = read(home.parent, expected=None)
    assert from_parent["path"].tolist() == [f"Data/{path}" for path in records["path"]]
    assert from_parent.drop(columns="path").equals(records.drop(columns="path"))
    # A folder named like an image must not be taken for the image's name, nor a sign for a pattern's.
    for name in ("Cam_3f_1.png", "[x]*"):
        home = home.rename(home.parent / name)
        assert read(home, expected=None).equals(records)


def test_files_that_are_no_images_are_ignored(home):
    records = read(home, expected=None)
    touch(
        home,
        "Cam_1/Thumbs.db",
        "Cam_1/2/readme.txt",
        "Cam_1/2/._Cam_1f_5.png",
        "Cam_1/.hidden/Cam_1f_5.png",
        "Cam_1/2/folder.png/inside.txt",
        "Cam_13/2/Cam_13f_1.png",
        "photo.png",
    )
    assert read(home, expected=None).equals(records)


@pytest.mark.parametrize(
    "name",
    [
        "2/Cam_2f_44841.png",
        "2/Cam_13f_44841.png",
        "2/Cam_1f_.png",
        "2/Cam_1_44841.png",
        "2/xCam_1f_44841.png",
        "2/Cam_1f_44841.png.png",
        "2/Cam_1f_44841.bmp",
        "2/Cam_1f_\u0663.png",
        "Cam_1f_44841.png",
        "x2/Cam_1f_44841.png",
        "2_/Cam_1f_44841.png",
        "2_1_1/Cam_1f_44841.png",
        "2_0/Cam_1f_44841.png",
        "02/Cam_1f_44841.png",
        "0/Cam_1f_44841.png",
        "-1/Cam_1f_44841.png",
        "113/Cam_1f_44841.png",
        "10000/Cam_1f_44841.png",
    ],
)
def test_an_image_with_another_name_is_refused(home, name):
    touch(home / "Cam_1", name)
    with pytest.raises(ValueError) as error:
        read(home, expected=None)
    message = str(error.value)
    assert f"1 of 5 images in {home / 'Cam_1'}" in message
    assert f"first {name}:" in message
    assert "such as 2_1/Cam_1f_67001.png" in message
    assert "unpack the data set again" in message


def test_many_other_names_are_counted_and_the_first_three_shown(home):
    touch(home / "Cam_12", *(f"1/cat{index}.png" for index in range(5)))
    with pytest.raises(ValueError, match=r"5 of 6 images .*first 1/cat0.png, 1/cat1.png, 1/cat2.png:"):
        read(home, expected=None)


@pytest.mark.parametrize("from_parent", [False, True])
def test_a_missing_camera_is_named_with_what_is_there(home, from_parent):
    (home / "Cam_7").rename(home / "cam7")
    with pytest.raises(FileNotFoundError) as error:
        read(home.parent if from_parent else home)
    message = str(error.value)
    assert f"found in {home}: Cam_1, Cam_10, Cam_11, Cam_12, Cam_2, " in message
    assert (f"found in {home.parent}: Data\n" in message) == from_parent


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda root: None, "no such file or folder"),
        (lambda root: root.mkdir(), "nothing"),
        (lambda root: touch(root, *(f"{n:02d}.txt" for n in range(11))), r"00.txt, .*08.txt, 09.txt, \.\.\.$"),
    ],
)
@pytest.mark.parametrize("reader", [read, read_annotation])
def test_a_wrong_root_is_named_with_what_is_there(tmp_path, make, found, reader):
    make(tmp_path / "data")
    with pytest.raises(FileNotFoundError, match=f"RPIfield (.|\n)*found .*: {found}"):
        reader(tmp_path / "data")


def test_an_empty_camera_is_named(home):
    (home / "Cam_5/15107/Cam_5f_77.png").unlink()
    with pytest.raises(ValueError, match="Cam_5 has no image"):
        read(home)


def test_a_single_actor_is_named(home):
    (home / "Cam_2/112/Cam_2f_9.jpg").rename(home / "Cam_2/112/Cam_2f_9.txt")
    touch(home, "Cam_2/10002/Cam_2f_9.png")
    with pytest.raises(ValueError, match=r"images of 1 actors \(labels 1 to 112\): training needs two"):
        read(home)


def test_counts_other_than_published_are_one_warning(home):
    with pytest.warns(UserWarning) as caught:
        read(home)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message).split()[-7:] == ["all", "15", "3", "12", "601581", "113", "12"]


def test_expected_counts_are_silent(home):
    expected = counts(read(home, expected=None)).to_dict("index")
    assert expected == {"all": {"images": 15, "identities": 3, "cameras": 12}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(home, expected=expected)


@pytest.mark.parametrize(
    ("from_parent", "folder"),
    [
        (False, "Data"),
        (False, "Data_Info"),
        (False, "Data/Data_Info"),
        (True, "Data"),
        (True, "Data_Info"),
        (True, "."),
    ],
)
def test_annotation_that_lists_other_images_is_one_warning(home, from_parent, folder):
    expected = counts(read(home, expected=None)).to_dict("index")
    root = home.parent if from_parent else home
    annotate(home.parent / folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(root, expected=expected)
    annotate(home.parent / folder, [*FILES, "Cam_12/1/Cam_12f_3.png", "Cam_4/1/Cam_4f_3.png"])
    with pytest.warns(UserWarning, match="differs from its annotation") as caught:
        read(root, expected=expected)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message).split()[-6:] == ["4", "1", "2", "12", "1", "2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(root, expected=None)


def test_annotation_of_a_single_camera_is_compared(home):
    expected = counts(read(home, expected=None)).to_dict("index")
    annotate(home)
    for camid in range(2, 13):
        (home / f"Cam_{camid}.mat").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(home, expected=expected)
    touch(home, "Cam_1/1/Cam_1f_3.png")
    with pytest.warns(UserWarning, match="differs from its annotation"):
        read(home, expected={"all": {"images": 16, "identities": 4}})


def test_annotation_is_read_as_the_images_are(home):
    annotate(home.parent / "Data_Info")
    annotation = read_annotation(home.parent)
    records = read(home, expected=None)
    assert list(annotation.columns) == ["path", "label", "reappearance", "pid", "camid", "frame", "timestamp"]
    assert (annotation.drop(columns="path").dtypes == np.int64).all()
    pd.testing.assert_frame_equal(annotation[["path", "pid", "camid"]], records[["path", "pid", "camid"]])
    assert annotation["label"].tolist() == [10001, 2, 2, 2, *[15107] * 3, 112, *[15107] * 7]
    assert annotation["reappearance"].tolist() == [2, 0, 0, 1, *[0] * 11]
    assert annotation["frame"].tolist() == [44841, 44841, 5, 67001, *[77] * 3, 9, *[77] * 7]
    assert annotation["timestamp"].equals(annotation["frame"].rename("timestamp"))
    for root in (home, home.parent / "Data_Info"):
        assert read_annotation(root).equals(annotation)


def test_a_timestamp_is_not_the_frame_but_of_the_annotation(tmp_path):
    annotate(tmp_path, timestamps=np.array([[1.5], [2], [3], [4]]))
    annotation = read_annotation(tmp_path)
    assert annotation["timestamp"].tolist() == [4, 1.5, 2, 3, *annotation["frame"][4:]]


def annotation_counts(annotation) -> pd.DataFrame:
    """Counts of each camera, in the form of the data set's own table.

    Args:
        annotation: as returned by :func:`read_annotation`.

    Returns:
        One row per camera and the row "all", with columns ``boxes``, ``actor_boxes``, ``actors`` and ``distractors``
        (numbers of labels that occur) and ``sequences`` (folders).
    """
    cameras = {camid: _count(boxes) for camid, boxes in annotation.groupby("camid")}
    return pd.DataFrame.from_dict(cameras | {"all": _count(annotation)}, orient="index")


def _count(boxes: pd.DataFrame) -> dict[str, int]:
    labels, is_actor = boxes["label"], boxes["pid"] != DISTRACTOR
    return {
        "boxes": len(boxes),
        "actor_boxes": int(is_actor.sum()),
        "actors": labels[is_actor].nunique(),
        "distractors": labels[~is_actor].nunique(),
        "sequences": len(boxes[["camid", "label", "reappearance"]].drop_duplicates()),
    }


def test_annotation_counts(tmp_path):
    annotate(tmp_path)
    table = annotation_counts(read_annotation(tmp_path))
    assert table.index.tolist() == [*range(1, 13), "all"]
    rows = {key: list(row) for key, row in table.T.items()}
    assert list(table.columns) == ["boxes", "actor_boxes", "actors", "distractors", "sequences"]
    assert rows[1] == [4, 3, 1, 1, 3]
    assert rows[2] == [1, 1, 1, 0, 1]
    assert rows[3] == [1, 0, 0, 1, 1]
    assert rows["all"] == [15, 4, 2, 2, 14]


def test_missing_annotation_is_named(home):
    annotate(home)
    (home / "Cam_3.mat").unlink()
    (home / "Cam_11.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks Cam_3.mat, Cam_11.mat: .*; found in .*: Cam_1, Cam_1.mat, "):
        read_annotation(home)


@pytest.mark.parametrize("variable", ["allimagenames", "ids", "timestamps"])
def test_a_missing_variable_is_named_with_those_there_are(tmp_path, variable):
    annotate(tmp_path, **{variable: None})
    others = [name for name in ("allimagenames", "ids", "timestamps") if name != variable]
    with pytest.raises(ValueError, match=f"Cam_1.mat has no variable {variable}; found: {', '.join(others)}$"):
        read_annotation(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamps": np.ones((3, 1))}, "4 names, 4 ids and 3 timestamps"),
        ({"ids": cells("222")}, "4 names, 3 ids and 4 timestamps"),
        ({"ids": cells(["2", "2", "2", "10001_2"])}, r"1 of 4 ids in .*, first '2' for 2_1/Cam_1f_67001.PNG"),
        ({"ids": np.array([[2, 2, 2, 10001]])}, "4 of 4 ids in .*, first 2 for"),
        ({"allimagenames": cells(["2\\Cam_1f_1.png", "2\\Cam_2f_1.png"] * 2)}, "2 of 4 names .*, first 2/Cam_2f_1.png"),
        ({"allimagenames": np.ones((1, 4))}, r"4 of 4 names .*, first 1.0, 1.0, 1.0: expected <label>"),
        (
            {"allimagenames": cells([]), "ids": cells([]), "timestamps": np.ones((0, 1))},
            "0 names, 0 ids and 0 timestamps: expected equal numbers, one or more",
        ),
    ],
)
def test_annotation_that_contradicts_itself_is_refused(tmp_path, changes, message):
    annotate(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        read_annotation(tmp_path)


@pytest.mark.parametrize("length", [0, 100, 128, 300, -100])
def test_a_file_that_is_not_whole_is_named(home, length):
    annotate(home)
    file = home / "Cam_1.mat"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ValueError, match=f"{file} (is not a complete MATLAB file|has no variable)"):
        read_annotation(home)


def test_a_web_page_instead_of_annotation_is_named_when_reading_images(home):
    (home / "Cam_6.mat").write_text("<!DOCTYPE html><title>quota exceeded</title>" * 9)
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match="Cam_6.mat is not a complete MATLAB file of format v5"),
    ):
        read(home)


@pytest.mark.parametrize("folder", ["RPIfield/Data", "RPIfield/Data_Info"])
def test_annotation_by_a_link_that_leads_away_is_named(home, folder, tmp_path):
    annotate(tmp_path / folder)
    file = tmp_path / folder / "Cam_6.mat"
    file.rename(tmp_path / "elsewhere.mat")
    file.symlink_to(tmp_path / "elsewhere.mat")
    with pytest.raises(ValueError, match=f"{file} is a symbolic link to {tmp_path}/elsewhere.mat, outside of "):
        read_annotation(home)


def test_published_counts():
    assert EXPECTED == {"all": {"images": 601_581, "identities": 112 + 1, "cameras": 12}}


@pytest.fixture(scope="module")
def real():
    if not REAL.is_dir():
        pytest.skip("the real annotation is not on this machine")
    return read_annotation(REAL)


def test_the_real_annotation_is_as_published(real):
    """Columns are those of the data set's own README: boxes, participants, distractors, sequences of each camera."""
    published = {
        1: (59_230, 78, 297, 485),
        2: (112_523, 83, 653, 830),
        3: (72_005, 74, 822, 964),
        4: (53_986, 70, 393, 536),
        5: (67_672, 63, 781, 896),
        6: (56_472, 64, 865, 967),
        7: (17_809, 48, 93, 177),
        8: (36_338, 55, 266, 361),
        9: (3_910, 40, 32, 88),
        10: (10_492, 62, 105, 218),
        11: (73_601, 76, 448, 673),
        12: (37_543, 70, 233, 382),
    }
    table = annotation_counts(real)
    found = table.loc[list(published), ["boxes", "actors", "distractors", "sequences"]]
    assert dict(zip(found.index, found.itertuples(index=False, name=None), strict=True)) == published
    everything = table.loc["all", ["boxes", "actor_boxes", "actors", "distractors"]]
    assert everything.tolist() == [601_581, 211_644, 112, 3_996]
    assert (real["pid"] == 0).sum() == 389_937


def test_what_is_known_of_the_real_annotation(real):
    cameras = real[real["pid"] > 0].groupby("pid")["camid"].nunique()
    assert cameras[cameras < 3].to_dict() == {89: 1}
    assert (real["timestamp"] == real["frame"]).all()
    assert real["path"].is_unique
    assert real.loc[real["pid"] == 0, "label"].agg(["min", "max"]).tolist() == [10_001, 15_107]
    assert real.loc[real["pid"] > 0, "label"].equals(real.loc[real["pid"] > 0, "pid"].rename("label"))


def test_the_real_annotation_is_what_read_expects(real):
    assert real["pid"].nunique() == EXPECTED["all"]["identities"]
    assert len(real) == EXPECTED["all"]["images"]
