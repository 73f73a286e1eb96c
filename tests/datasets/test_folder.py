"""The parser of a user's own photographs, as folders and as a table."""

import re
import time

import pytest
from made_images import write_photos

from gaaplib.datasets.folder import image_folder, number_persons, photographs, read
from gaaplib.datasets.records import check_records, person

PEOPLE = ["10/a.jpg", "2/b.JPG", "2/a.webp", "Ötzi the 1st/\u00fc 1.png"]
IMAGES = ["door/1.jpg", "door/2.jpg", "yard/3.png"]


def touch(home, *files):
    """Empty files: a parser that opens one fails."""
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


@pytest.fixture
def people(tmp_path):
    touch(tmp_path / "photos", *PEOPLE)
    return tmp_path / "photos"


@pytest.fixture
def table(tmp_path):
    """A function that writes records.csv beside three images and returns its folder."""
    home = tmp_path / "photos"
    touch(home, *IMAGES)

    def write(*lines, encoding="utf-8", name="records.csv"):
        (home / name).write_bytes("\r\n".join(lines).encode(encoding))
        return home

    return write


def problems(home):
    """The lines of the error that reading raises."""
    with pytest.raises(ValueError) as error:
        read(home)
    first, *lines = str(error.value).splitlines()
    assert first == f"{home / 'records.csv'} cannot be used:"
    return [line.strip() for line in lines]


def test_records_of_folders(people):
    records = read(str(people))
    check_records(records)
    assert records.values.tolist() == [
        ["10/a.jpg", 2, -1, "all"],
        ["2/a.webp", 1, -1, "all"],
        ["2/b.JPG", 1, -1, "all"],
        ["Ötzi the 1st/\u00fc 1.png", 3, -1, "all"],
    ]


def test_names_are_numbered_in_natural_order():
    names = ["b", "C", "a10", "A2", "10", "9", "a2", "01", "1"]
    assert list(number_persons(names)) == ["01", "1", "9", "10", "A2", "a2", "a10", "b", "C"]
    assert list(number_persons(names).values()) == list(range(1, 10))


def test_what_a_system_makes_is_no_person(people):
    records = read(people)
    touch(people, ".cache/a.jpg", "__MACOSX/2/a.jpg", "@eaDir/a.jpg", "2/@eaDir/a.jpg", "2/.t/a.jpg", "2/notes.txt")
    touch(people, "2/empty/notes.txt", "readme.txt", "2/._a.jpg", ".a.jpg")
    assert read(people).equals(records)


@pytest.mark.parametrize("file", ["2/monday/c.jpg", "2/a/b/c.jpg", "3/monday/c.jpg"])
def test_an_image_deeper_than_its_person_is_refused(people, file):
    touch(people, file)
    with pytest.raises(ValueError, match=f"{people / file} is too deep.*give {people / file[0]} as the root"):
        read(people)


def test_an_image_of_nobody_is_refused(people):
    touch(people, "b.jpg", "a.jpg")
    with pytest.raises(ValueError, match=f"2 images are in {people} itself, first a.jpg"):
        read(people)


def test_a_person_without_images_is_refused(people):
    touch(people, "anna/IMG_0001.HEIC")
    with pytest.raises(
        ValueError, match=f"{people / 'anna'} has no image that can be read .found there: IMG_0001.HEIC"
    ):
        read(people)


@pytest.mark.parametrize(
    "name",
    [
        *("query", "Train", "bounding_box_test", "Persons", "image_train", "train_images", "images-query", "test2"),
        *("gt_bbox", "val", "validation", "multi-query", "train_all", "Gallery Images", "probe", "TestSet", "testing"),
        *("trainval", "bbox_test", "images_detected", "partial_body_images", "distractors", "train2017", "IMG", "-1"),
    ],
)
def test_a_part_of_another_data_set_is_no_person(people, name):
    touch(people, f"{name}/0001_c1s1_001051_00.jpg")
    with pytest.raises(ValueError, match=f"{people} has {name}: not persons, but parts of a data set"):
        read(people)


@pytest.mark.parametrize(
    "name",
    [
        *("anna", "0001", "0000", "Val Kilmer", "Testa", "Ima Gery", "test person", "train driver", "Queen", "Trainor"),
        *("Frame, Roger", "cam_a", "Camera 1", "Cam", "person_1", "id1", "a", "old", "Set", "Máscara", "1", "p train"),
    ],
)
def test_a_person_may_have_any_usual_name(people, name):
    touch(people, f"{name}/1.jpg")
    assert f"{name}/1.jpg" in set(read(people)["path"])


def test_names_made_of_the_words_of_parts_take_no_time(people):
    start = time.perf_counter()
    for word in ("images", "validation", "bboxes", "trainings", "labelled", "queriess", "idsets"):
        touch(people, f"{(word * 40)[:200]}ax/1.jpg")
    assert len(read(people)["pid"].unique()) == 3 + 7
    assert time.perf_counter() - start < 2


VERI = ["image_train/0001_c001_00016450_0.jpg", "image_query/0002_c002_00030600_0.jpg", "image_test/0002_c003_1_0.jpg"]
LAYUMI = [
    *(
        "train/0002/0002_c1s1_000451_03.jpg",
        "train_all/0002/0002_c1s1_000451_03.jpg",
        "val/0007/0007_c1s6_028546_01.jpg",
    ),
    *("query/0001/0001_c1s1_001051_00.jpg", "gallery/0001/0001_c1s1_002301_02.jpg", "gallery/-1/-1_c1s1_002301_02.jpg"),
    *("gallery/0000/0000_c1s1_000151_01.jpg", "multi-query/0001/0001_c1s1_001051_00.jpg"),
]
LAYOUTS = {
    "VeRi-776": VERI,
    "layumi": LAYUMI,
    "layumi's parent": [f"pytorch/{image}" for image in LAYUMI],
    "Market-1501": ["bounding_box_train/0002_c1s1_000451_03.jpg", "query/0001_c1s1_001051_00.jpg"],
    "MSMT17": ["train/0000/0000_000_01_0303morning_0008_0.jpg", "test/0000/0000_000_01_0303morning_0008_0.jpg"],
    "MSMT17's train": ["mask_train_v2/0000/0000_000_01_0303morning_0008_0.jpg", "mask_test_v2/0000/0000_000_01_1.jpg"],
    "MARS": ["bbox_train/0001/0001C1T0001F001.jpg", "bbox_test/00-1/00-1C1T0001F001.jpg"],
    "VIPeR": ["cam_a/000_45.bmp", "cam_b/000_45.bmp"],
    "PRID": ["single_shot/cam_a/person_0001.png", "multi_shot/cam_a/person_0001/0001.png"],
    "PRID's single shots": ["cam_a/person_0001.png", "cam_b/person_0001.png"],
    "GRID": ["probe/0001_1_25004_107_32_106_221.jpeg", "gallery/0000_2_25008_175_32_99_265.jpeg"],
    "SYSU-MM01": ["cam1/0001/0001.jpg", "cam2/0001/0001.jpg"],
    "CUHK01": ["campus/0001001.png", "campus/0001002.png"],
    "CUHK02": ["P1/cam1/001.png", "P1/cam2/001.png", "P2/cam1/001.png"],
    "Occluded-REID": ["occluded_body_images/001/001_01.tif", "whole_body_images/001/001_01.tif"],
    "RegDB": ["Thermal/1/female_back_t_00031_1.bmp", "Visible/1/female_back_v_00031_1.bmp"],
    "LPW": ["scen1/view1/1/0001.jpg", "scen1/view2/1/0001.jpg"],
    "VehicleID": ["image/0000001.jpg", "image/0000002.jpg"],
    "RPIfield": ["Cam_1/2/Cam_1f_44841.png", "Cam_2/2/Cam_2f_44841.png"],
    "flat": ["0001001.jpg", "0001002.jpg", "more/0002001.jpg"],
}


SPLIT_OF = {"query": "query", "probe": "query", "gallery": "gallery", "test": "gallery"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_table_that_is_advised_for_other_data_sets_works(tmp_path, name):
    touch(tmp_path, *LAYOUTS[name])
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    advised = (
        rf"write a table {tmp_path}/records.csv with the line (\S+) and one line per image such as (\S+),1,2,(\w+) "
    )
    header, example, split = re.search(advised, str(error.value)).groups()
    assert example in LAYOUTS[name]
    assert split == next((own for word, own in SPLIT_OF.items() if word in example), "train")
    assert "subfolder as the root" not in str(error.value)
    lines = [f"{image},{number},{number},train" for number, image in enumerate(LAYOUTS[name], 1)]
    (tmp_path / "records.csv").write_text("\n".join([header, *lines]))
    assert read(tmp_path)["path"].tolist() == sorted(LAYOUTS[name])


def test_one_person_only_is_refused(tmp_path):
    touch(tmp_path, "anna/1.jpg", "anna/2.jpg")
    with pytest.raises(ValueError, match=f"{tmp_path} has one folder only, anna: .*at least two are needed"):
        read(tmp_path)


def test_a_packed_person_is_refused_unless_it_is_unpacked_too(people):
    records = read(people)
    touch(people, "10.zip", "2.tar.gz")
    assert read(people).equals(records)
    touch(people, "anna.zip")
    with pytest.raises(ValueError, match="anna.zip is packed: unpack it, or move it elsewhere"):
        read(people)


def test_links_in_a_circle_are_not_followed(people):
    records = read(people)
    (people / "2/all").symlink_to(people)
    assert read(people).equals(records)


@pytest.mark.parametrize("files", [[], ["a.jpg"]])
def test_a_root_without_persons_is_named_with_what_is_there(tmp_path, files):
    touch(tmp_path, *files)
    with pytest.raises(FileNotFoundError, match=f"records.csv(.|\n)*found in .*: {(files or ['nothing'])[0]}$"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read(tmp_path / "nowhere")


def test_counts_are_compared_only_with_the_users(people):
    with pytest.warns(UserWarning) as caught:
        read(people, expected={"all": {"images": 5}})
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_records_of_a_table(table):
    home = table(
        "split, pid ,path,camid",
        "query, 7 , door\\1.jpg , 1 ",
        "",
        "gallery,007,./door/2.jpg,2",
        'gallery,0,"yard/3.png",0',
    )
    touch(home, "nobody/1.jpg", "nobody/deeper/2.jpg")
    records = read(home)
    check_records(records)
    assert records.values.tolist() == [
        ["door/1.jpg", 7, 1, "query"],
        ["door/2.jpg", 7, 2, "gallery"],
        ["yard/3.png", 0, 0, "gallery"],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_needs_paths_and_pids_only(table, encoding):
    home = table("path,pid", "door/1.jpg,p10", "door/2.jpg,p9", "yard/3.png,Änne", encoding=encoding)
    expected = [["door/1.jpg", 2, -1, "all"], ["door/2.jpg", 1, -1, "all"], ["yard/3.png", 3, -1, "all"]]
    assert read(home).values.tolist() == expected
    table("path,pid,camid,split", "door/1.jpg,p10,,", "door/2.jpg,p9,,", "yard/3.png,Änne,-1,all", ",,,", "")
    assert read(home).values.tolist() == expected


def test_zero_is_the_distractor_among_names_too(table):
    home = table("path,pid,split", "door/1.jpg,anna,query", "door/2.jpg,anna,gallery", "yard/3.png,0,gallery")
    assert read(home)["pid"].tolist() == [1, 1, 0]


def test_root_may_be_a_table_of_any_name(table, tmp_path):
    home = table("path,pid", "door/1.jpg,1", "yard/3.png,2", name="Mine.CSV")
    records = read(home / "Mine.CSV")
    assert records["path"].tolist() == ["door/1.jpg", "yard/3.png"]
    assert image_folder(home / "Mine.CSV") == image_folder(home) == home
    with pytest.raises(FileNotFoundError, match="no table .*other.csv; found in .*: Mine.CSV, door, yard"):
        read(home / "other.csv")
    people = tmp_path / "people.csv"
    touch(people, "anna/1.jpg", "ben/1.jpg")
    assert read(people)["path"].tolist() == ["anna/1.jpg", "ben/1.jpg"]
    assert image_folder(people) == people


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",1,1,train", "the path is empty"),
        ("door/9.jpg,1,1,train", "path 'door/9.jpg' is not in "),
        ("../1.jpg,1,1,train", "path '../1.jpg' leaves "),
        ("door/../../1.jpg,1,1,train", "path 'door/../../1.jpg' leaves "),
        ("C:\\1.jpg,1,1,train", "path 'C:\\\\1.jpg' leaves "),
        ("notes.txt,1,1,train", "path 'notes.txt' is not an image: it must end in .bmp,"),
        ("door/2.jpg,,1,train", "pid is empty"),
        ("door/2.jpg,-1,1,train", "pid is -1: "),
        ("door/2.jpg,12345678901,1,train", "pid is 12345678901: "),
        ("door/2.jpg," + "a" * 201 + ",1,train", "pid has 201 characters"),
        ("door/2.jpg,0,1,train", "pid 0 is the distractor"),
        ("door/2.jpg,00,1,query", "pid 00 is the distractor"),
        ("door/2.jpg,1,x,train", "camid is 'x': it must be a whole number"),
        ("door/2.jpg,1,1.0,train", "camid is '1.0': "),
        ("door/2.jpg,1,-2,train", "camid is '-2': "),
        ("door/2.jpg,1,,train", "camid is -1, but 1 in line 2: give all or none"),
        ("door/2.jpg,1,1,Train", "split is 'Train': it must be one of train, query, gallery, all"),
        ("door/2.jpg,1,1,", "split is 'all', but 'train' in line 2: give all or none"),
        ("./door\\1.jpg,1,1,train", "path 'door/1.jpg' is in line 2 too"),
        ("door/2.jpg,1,1", "3 values ['door/2.jpg', '1', '1'], but 4 columns"),
        ("door/2.jpg,1,1,train,x", "5 values "),
        ('"door/2.jpg,1,1,train', "unexpected end of data"),
    ],
)
def test_a_wrong_row_is_named_by_line_and_value(table, row, why):
    home = table("path,pid,camid,split", "door/1.jpg,1,1,train", "", row)
    touch(home, "notes.txt", "../1.jpg")
    (problem,) = problems(home)
    assert problem.startswith(f"line 4: {why}")


def test_all_wrong_rows_are_told(table):
    home = table("path,pid", "door/1.jpg,", "door/2.jpg,1", *[f"{index}.jpg,1" for index in range(12)])
    found = problems(home)
    assert found[0].startswith("line 2: pid is empty")
    assert found[1].startswith("line 4: path '0.jpg'")
    assert found[10:] == ["... 13 problems in all"]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("pid,camid", ["line 1: there is no column path"]),
        ("path;pid", ["line 1: there is no column path", "no column pid", "column 'path;pid' is unknown"]),
        ("path,pid,camera", ["line 1: column 'camera' is unknown"]),
        ("path,pid,pid", ["line 1: column pid occurs twice"]),
        ("", ["line 1: there is no column path", "line 1: there is no column pid"]),
    ],
)
def test_wrong_columns_are_named(table, header, why):
    *found, hint = problems(table(header, "door/1.jpg,1"))
    assert len(found) == len(why)
    assert all(part in line for part, line in zip(why, found, strict=True))
    assert "path,pid and optionally camid,split, separated by commas" in hint


def test_a_table_of_another_spelling_is_not_overlooked(people):
    touch(people, "Records.csv")
    if (people / "records.csv").exists():
        pytest.skip("this file system does not tell upper from lower case")
    with pytest.raises(ValueError, match="Records.csv differs in case: rename it to records.csv, or move it elsewhere"):
        read(people)


def test_an_empty_table_and_another_encoding_are_named(table):
    with pytest.raises(ValueError, match="records.csv has no rows"):
        read(table("path,pid"))
    with pytest.raises(ValueError, match="records.csv is not UTF-8"):
        read(table("path,pid", "door/1.jpg,Änne", encoding="latin-1"))


@pytest.mark.parametrize("names", [("a.jpg", "b.jpg"), ("a.jpg", "trip/b.jpg"), ("2025/may/a.jpg", "2026/b.jpg")])
def test_other_folders_have_images_of_persons_unknown(tmp_path, names):
    records = photographs(write_photos(tmp_path, names))
    assert records.path.tolist() == sorted(names)
    assert (records.pid == 0).all()


def test_a_folder_says_what_is_wrong_with_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="no photographs in .*nowhere"):
        photographs(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="has no images .found there: notes.txt"):
        photographs(tmp_path)
    (tmp_path / "records.csv").write_text("path,person\n")
    with pytest.raises(ValueError, match="no column pid"):
        photographs(tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    write_photos(tmp_path / "private", ("secret.jpg",))
    folder = write_photos(tmp_path / "album", ("a.jpg",))
    (folder / "b.jpg").symlink_to(tmp_path / "private" / "secret.jpg")
    with pytest.raises(ValueError, match="symbolic link to .*outside of"):
        photographs(folder)


PATTERN = r"(?P<pid>[^_]+)_cam(?P<camid>\d+)"


def test_a_pattern_finds_persons_and_cameras_in_names_at_any_depth(tmp_path):
    touch(tmp_path, "anna_cam1_1.jpg", "ben_cam2_1.jpg", "party/anna_cam2_7.jpg", "party/late/ben_cam1_3.png")
    records = read(tmp_path, pattern=PATTERN)
    check_records(records)
    rows = list(records[["path", "pid", "camid", "split"]].itertuples(index=False, name=None))
    assert rows == [
        ("anna_cam1_1.jpg", 1, 1, "all"),
        ("ben_cam2_1.jpg", 2, 2, "all"),
        ("party/anna_cam2_7.jpg", 1, 2, "all"),
        ("party/late/ben_cam1_3.png", 2, 1, "all"),
    ]
    assert [person(records, pid) for pid in records.pid] == ["anna", "ben", "anna", "ben"]


def test_masks_of_the_images_are_no_images(people, tmp_path):
    before = read(people)
    touch(people, "masks/anna/1.png", "masks/ben/1.png")
    assert read(people).equals(before) and len(photographs(people)) == len(before)
    named = tmp_path / "named"
    touch(named, "anna_cam1_1.jpg", "ben_cam2_1.jpg", "masks/anna_cam1_1.png", "late/masks/ben_cam1_2.jpg")
    assert read(named, pattern=PATTERN).path.tolist() == [
        "anna_cam1_1.jpg",
        "ben_cam2_1.jpg",
        "late/masks/ben_cam1_2.jpg",
    ]


def test_a_pattern_with_a_slash_is_searched_in_the_path(tmp_path):
    touch(tmp_path, "door/7/1.jpg", "yard/7/2.jpg", "yard/9/2.jpg")
    records = read(tmp_path, pattern=r"^(?P<camid>\w+)/(?P<pid>\d+)/")
    assert records.pid.tolist() == [7, 7, 9]  # whole numbers as they are
    assert records.camid.tolist() == [1, 2, 2]  # words in the order of their names
    assert person(records, 7) == "7"


def test_without_a_camera_in_the_pattern_cameras_are_unknown(tmp_path):
    touch(tmp_path, "anna-1.jpg", "ben-1.jpg")
    assert read(tmp_path, pattern="(?P<pid>[a-z]+)-").camid.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?P<pid>", "is no regular expression .*: give one such as"),
        (r"(\d+)_", "must have the group pid and optionally camid, not none"),
        (r"(?P<pid>\d+)_(?P<view>\d)", "must have the group pid and optionally camid, not pid, view"),
        (r"^(?P<pid>\d+)_", "2 of 2 images in .* do not match pattern=.*, first anna_cam1_1.jpg, ben_cam1_1.jpg"),
        (r"(?P<pid>\d*)a", "do not match"),
    ],
)
def test_a_wrong_pattern_is_told_with_a_right_one(tmp_path, pattern, reason):
    touch(tmp_path, "anna_cam1_1.jpg", "ben_cam1_1.jpg")
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, pattern=pattern)


def test_a_pattern_of_a_folder_without_images_shows_what_is_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    for root, seen in ((tmp_path, "notes.txt"), (tmp_path / "missing", "no such file or folder")):
        with pytest.raises(FileNotFoundError, match=f"found in .*: {seen}"):
            read(root, pattern=PATTERN)


def test_persons_keep_their_names(people, table, tmp_path):
    records = read(people)
    assert {person(records, pid) for pid in records.pid} == {path.split("/")[0] for path in records.path}
    table("path,pid", f"{IMAGES[0]},carla", f"{IMAGES[1]},dan", f"{IMAGES[2]},0")
    records = read(tmp_path / "photos")
    assert {person(records, pid) for pid in records.pid} == {"carla", "dan", "0"}
