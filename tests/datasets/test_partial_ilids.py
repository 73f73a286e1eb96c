"""The parser of Partial-iLIDS, on each of its layouts made of empty files."""

import warnings

import pytest

from gaaplib.datasets.partial_ilids import EXPECTED, LAYOUTS, read
from gaaplib.datasets.records import check_records

FOLDER_LAYOUTS = [
    ("PartialiLIDS", "query/{:03d}_1.jpg", "gallery/{:03d}_2_00{:d}.jpg", (1, 2)),
    ("partial_ilids", "Probe/{:03d}.jpg", "Gallery/{:03d}.jpg", (-1, -1)),
    ("Partial_iLIDS", "partial_body_images/{:03d}.jpg", "whole_body_images/{:03d}.jpg", (-1, -1)),
]


def touch(home, *files):
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


def fill(home, query, gallery, pids=(1, 12)):
    """Empty files of a layout: a parser that opens one fails."""
    touch(home, *(pattern.format(pid, pid) for pid in pids for pattern in (query, gallery)))


@pytest.fixture
def lists(tmp_path):
    """The layout with lists, and the folders that they name, which have one more image."""
    fill(tmp_path, "Probe/{:03d}.jpg", "Gallery/{:03d}.jpg", pids=(1, 12, 99))
    (tmp_path / "Probe.txt").write_text("\ufeffProbe/001.jpg\r\n\r\nProbe\\012.jpg\r\n", encoding="utf-8")
    (tmp_path / "Gallery.txt").write_text("./Gallery/001.jpg\n\n  Gallery//012.jpg  \n \n", encoding="utf-8")
    return tmp_path


def test_the_four_layouts_are_these():
    assert set(LAYOUTS) == {
        ("query", "gallery"),
        ("Probe", "Gallery"),
        ("partial_body_images", "whole_body_images"),
        ("Probe.txt", "Gallery.txt"),
    }


@pytest.mark.parametrize(("folder", "query", "gallery", "cameras"), FOLDER_LAYOUTS)
def test_records_of_each_layout_of_folders(tmp_path, folder, query, gallery, cameras):
    fill(tmp_path / folder, query, gallery)
    records = read(tmp_path / folder, expected=None)
    check_records(records)
    rows = [[query.format(pid, pid), pid, cameras[0], "query"] for pid in (1, 12)]
    rows += [[gallery.format(pid, pid), pid, cameras[1], "gallery"] for pid in (1, 12)]
    assert records.values.tolist() == sorted(rows)
    from_parent = read(str(tmp_path), expected=None)
    assert from_parent["path"].tolist() == [f"{folder}/{path}" for path in records["path"]]


def test_records_of_lists_are_what_they_list(lists):
    assert read(lists, expected=None).values.tolist() == [
        ["Gallery/001.jpg", 1, -1, "gallery"],
        ["Gallery/012.jpg", 12, -1, "gallery"],
        ["Probe/001.jpg", 1, -1, "query"],
        ["Probe/012.jpg", 12, -1, "query"],
    ]
    (lists / "Gallery.txt").unlink()
    (lists / "Probe.txt").unlink()
    assert len(read(lists, expected=None)) == 6


@pytest.mark.parametrize(
    "change", [lambda file: file.unlink(), lambda file: file.rename(file.with_name("gallery.txt"))]
)
def test_a_list_without_the_other_is_refused_though_the_folders_are_there(lists, change):
    change(lists / "Gallery.txt")
    with pytest.raises(ValueError, match="has Probe.txt.*: the lists must be Probe.txt and Gallery.txt, both"):
        read(lists)


@pytest.mark.parametrize("part", ["Probe.txt", "Gallery.txt", "Probe", "Gallery/012.jpg"])
def test_a_list_or_what_it_lists_is_no_link_that_leads_away(lists, tmp_path_factory, part):
    outside = (lists / part).rename(tmp_path_factory.mktemp("outside") / "moved")
    (lists / part).symlink_to(outside)
    with pytest.raises(ValueError, match=f"{lists / part} is a symbolic link to {outside}, outside of {lists}"):
        read(lists)


def test_paths_of_lists_are_relative_to_the_root(lists, tmp_path_factory):
    parent = tmp_path_factory.mktemp("data")
    lists.rename(parent / "partial_ilids")
    assert read(parent, expected=None)["path"][0] == "partial_ilids/Gallery/001.jpg"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("../001.jpg", "leaves"),
        ("Probe/../../001.jpg", "leaves"),
        ("..\\001.jpg", "leaves"),
        ("/data/001.jpg", "leaves"),
        ("C:\\data\\001.jpg", "leaves"),
        ("Probe/002.jpg", "is not in"),
        ("Probe", "not an image"),
        ("Probe/x1.jpg", "not named as Partial-iLIDS's: expected <identity from 1>.jpg, such as 001.jpg"),
        ("Gallery/../Probe/001.jpg", "in line 1 too"),
    ],
)
def test_a_wrong_line_is_named(lists, line, why):
    touch(lists, "Probe/x1.jpg")
    touch(lists.parent, "001.jpg")
    with (lists / "Probe.txt").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError) as error:
        read(lists, expected=None)
    message = str(error.value)
    assert f"{lists / 'Probe.txt'} cannot be used:\n  line 4: " in message
    assert why in message


def test_every_wrong_line_is_counted_and_the_first_ten_shown(lists):
    (lists / "Probe.txt").write_text("".join(f"no/{index}.jpg\n" for index in range(12)))
    with pytest.raises(ValueError) as error:
        read(lists)
    message = str(error.value)
    assert "line 10: path 'no/9.jpg'" in message
    assert "line 11" not in message
    assert message.endswith("... 12 problems in all")


def test_an_empty_list_and_one_that_is_not_text_are_named(lists):
    (lists / "Gallery.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="Gallery.txt is empty"):
        read(lists)
    (lists / "Gallery.txt").write_bytes(b"Gallery/\xff.jpg")
    with pytest.raises(ValueError, match="Gallery.txt is not UTF-8.*at byte 8"):
        read(lists)


@pytest.mark.parametrize(
    "name", ["001.jpg", "x01_1.jpg", "000_1.jpg", "001_c1.jpg", "-1_1.jpg", "001_.jpg", "001_1.bmp"]
)
def test_an_image_with_another_name_is_refused(tmp_path, name):
    fill(tmp_path, *FOLDER_LAYOUTS[0][1:3])
    touch(tmp_path, f"query/{name}")
    with pytest.raises(ValueError) as error:
        read(tmp_path, expected=None)
    message = str(error.value)
    assert f"1 of 3 images in {tmp_path / 'query'}" in message
    assert name in message
    assert "such as 001_1.jpg" in message


def test_an_index_of_partial_reid_is_not_taken_for_a_camera(tmp_path):
    """Partial-REID, the sister data set, has the same folders with names identity_index."""
    fill(tmp_path, "partial_body_images/{:03d}_001.jpg", "whole_body_images/{:03d}_001.jpg")
    with pytest.raises(ValueError, match="2 of 2 images .* not named as Partial-iLIDS's"):
        read(tmp_path)


@pytest.mark.parametrize("folder", ["Probe", "Gallery"])
def test_an_empty_folder_is_named(tmp_path, folder):
    fill(tmp_path, *FOLDER_LAYOUTS[1][1:3])
    for file in (tmp_path / folder).iterdir():
        file.unlink()
    touch(tmp_path, f"{folder}/Thumbs.db")
    with pytest.raises(ValueError, match=f"{folder} has no image"):
        read(tmp_path)


def test_none_or_half_a_layout_lists_the_four_and_what_is_there(tmp_path):
    touch(tmp_path, "Probe/001.jpg", "gallery/001.jpg")
    with pytest.raises(FileNotFoundError) as error:
        read(tmp_path)
    message = str(error.value)
    assert all(name in message for layout in LAYOUTS for name in layout)
    assert message.endswith(
        f"found in {tmp_path}: Probe, gallery\n{tmp_path / 'gallery'} differs in case: rename it to Gallery"
    )
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("second", ["partial_body_images", "PartialiLIDS/query"])
def test_more_than_one_layout_is_refused(tmp_path, second):
    fill(tmp_path, *FOLDER_LAYOUTS[1][1:3])
    if "/" in second:
        fill(tmp_path / "PartialiLIDS", *FOLDER_LAYOUTS[0][1:3])
        both = f"{tmp_path}/Probe and Gallery; {tmp_path}/PartialiLIDS/query and gallery:"
    else:
        fill(tmp_path, *FOLDER_LAYOUTS[2][1:3])
        both = f"{tmp_path}/Probe and Gallery; {tmp_path}/partial_body_images and whole_body_images:"
    with pytest.raises(ValueError, match="more than one") as error:
        read(tmp_path)
    assert both in str(error.value)


def test_counts_other_than_published_are_one_warning(lists):
    with pytest.warns(UserWarning, match="Partial-iLIDS") as caught:
        read(lists)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message).count("119") == 4


@pytest.mark.parametrize(("folder", "query", "gallery", "cameras"), FOLDER_LAYOUTS)
def test_a_data_set_of_the_published_size_is_silent(tmp_path, folder, query, gallery, cameras):
    assert EXPECTED["query"] == EXPECTED["gallery"] == {"images": 119, "identities": 119}
    fill(tmp_path, query, gallery, pids=range(1, 120))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(tmp_path)) == 238
