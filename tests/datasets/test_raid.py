"""The parser of RAiD, on small files of its true layout: HDF5 with MATLAB's header and reversed axes."""

import re
import warnings
from types import GeneratorType

import h5py
import numpy as np
import pytest
from made_images import CAMIDS, PIDS, matlab_arrays, save_matlab
from PIL import Image
from scipy.io import savemat

from gaaplib.datasets import raid
from gaaplib.datasets.raid import EXPECTED, FILE, image, images, mask, read
from gaaplib.datasets.records import check_records, counts

PATHS = [f"{FILE}#{number:06d}" for number in range(5)]


@pytest.fixture
def home(tmp_path):
    save_matlab(tmp_path / FILE, matlab_arrays())
    return tmp_path


def test_records(home):
    records = read(home, expected=None)
    check_records(records)
    assert records.values.tolist() == [
        ["RAiD_4Cams.mat#000000", 3, 1, "all"],
        ["RAiD_4Cams.mat#000001", 3, 2, "all"],
        ["RAiD_4Cams.mat#000002", 1, 1, "all"],
        ["RAiD_4Cams.mat#000003", 1, 4, "all"],
        ["RAiD_4Cams.mat#000004", 43, 3, "all"],
    ]


def test_rows_stay_in_the_order_of_the_file(tmp_path):
    pids = [index % 7 + 1 for index in range(11)]
    save_matlab(tmp_path / FILE, matlab_arrays(pids, [1] * 11))
    assert read(tmp_path, expected=None)["pid"].tolist() == pids


def test_root_may_be_the_file_under_whatever_name(home):
    records = read(home, expected=None)
    assert read(str(home / FILE), expected=None).equals(records)
    renamed = (home / FILE).rename(home / "raid.mat")
    assert read(renamed, expected=None)["path"][3] == "raid.mat#000003"
    assert image(renamed, "raid.mat#000003").size == (64, 128)


@pytest.mark.parametrize("field", ["cam", "personID"])
def test_labels_may_be_a_row_or_a_column(home, field):
    records = read(home, expected=None)
    fields = matlab_arrays()
    fields[field] = fields[field].T
    save_matlab(home / FILE, fields)
    assert read(home, expected=None).equals(records)


def test_no_pixel_is_read(home):
    """The pixels are in another file, which does not exist."""
    with h5py.File(home / FILE, "r+") as opened:
        del opened["dataset/images"], opened["dataset/masks"]
        for field, shape in (("images", (5, 3, 64, 128)), ("masks", (5, 64, 128))):
            opened["dataset"].create_dataset(field, shape, np.uint8, external=[("gone", 0, h5py.h5f.UNLIMITED)])
    assert len(read(home, expected=None)) == 5
    with pytest.raises(ValueError, match=f"{FILE} cannot be read .*external raw data file"):
        image(home, PATHS[0])


@pytest.mark.parametrize("number", range(5))
def test_an_image_is_upright_and_rgb(home, number):
    found = image(home, PATHS[number])
    assert isinstance(found, Image.Image)
    assert (found.mode, found.size) == ("RGB", (64, 128))
    np.testing.assert_array_equal(np.asarray(found), matlab_arrays()["images"][..., number])
    # In words, without the arrays' help: left, top, red; then a step down, to the right half, and to green.
    pixels = np.asarray(found).astype(int) - number
    assert [pixels[place] for place in ((0, 0, 0), (127, 0, 0), (0, 63, 0), (0, 0, 1))] == [0, 127, 64, 20]


@pytest.mark.parametrize("number", range(5))
def test_a_mask_fits_its_image(home, number):
    found = mask(home, PATHS[number])
    assert (found.dtype, found.shape) == (bool, (128, 64))
    np.testing.assert_array_equal(found, matlab_arrays()["masks"][..., number])
    assert found[9 + number, 63] and not found[10 + number, 63] and not found[0, 19]


def test_masks_may_be_of_any_number(home):
    fields = matlab_arrays()
    save_matlab(home / FILE, fields | {"masks": fields["masks"] * 0.5})
    np.testing.assert_array_equal(mask(home, PATHS[2]), fields["masks"][..., 2])


@pytest.mark.parametrize("chunk", [1, 2, 3, 256])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 2], [1, 1, 0, 4, 4, 1], [3], []])
def test_many_images_come_in_the_order_asked_for(home, monkeypatch, chunk, order):
    monkeypatch.setattr(raid, "CHUNK", chunk)
    found = images(home, (PATHS[number] for number in order))
    assert isinstance(found, GeneratorType)
    expected = matlab_arrays()["images"]
    for number, one in zip(order, found, strict=True):
        np.testing.assert_array_equal(np.asarray(one), expected[..., number])


def test_many_images_open_the_file_once(home, monkeypatch):
    opened, open_file = [], h5py.File
    monkeypatch.setattr(raid, "CHUNK", 2)
    monkeypatch.setattr(h5py, "File", lambda *args: opened.append(args) or open_file(*args))
    assert len(list(images(home, PATHS))) == 5
    assert len(opened) == 1


@pytest.mark.parametrize(
    "path",
    [f"{FILE}#000005", FILE, f"{FILE}#1", f"{FILE}#-00001", f"other/{FILE}#000001", "other.mat#000001", "#000001"],
)
@pytest.mark.parametrize("open_one", [image, mask])
def test_a_path_of_no_image_is_named_with_the_images_there_are(home, open_one, path):
    with pytest.raises(ValueError) as error:
        open_one(home, path)
    assert repr(path) in str(error.value)
    assert "its 5 images are RAiD_4Cams.mat#000000 to RAiD_4Cams.mat#000004" in str(error.value)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, "no such file or folder"),
        ([], "nothing"),
        (["RAiD.zip", "README"], "RAiD.zip, README\n.*RAiD.zip is packed: unpack it$"),
        ([f"{number:02d}.txt" for number in range(11)], r"08.txt, 09.txt, \.\.\.$"),
    ],
)
@pytest.mark.parametrize("reader", [read, lambda root: image(root, PATHS[0])])
def test_a_missing_file_is_named_with_what_is_there(tmp_path, names, found, reader):
    root = tmp_path / "data"
    if names is not None:
        root.mkdir()
    for name in names or ():
        (root / name).touch()
    with pytest.raises(FileNotFoundError, match=f"no RAiD in (.|\n)*{FILE} (.|\n)*found in {root}: .*{found}"):
        reader(root)


def test_an_older_matlab_format_is_named_with_the_way_out(tmp_path):
    savemat(tmp_path / FILE, {"dataset": {"cam": CAMIDS, "personID": PIDS}})
    with pytest.raises(ValueError, match=r"not an HDF5 file, .*'MATLAB 5.0 MAT-file'.*save it with '-v7.3'"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>quota exceeded"])
def test_another_file_of_that_name_is_named(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    assert f"{tmp_path / FILE} is not an HDF5 file" in str(error.value)
    assert repr(content[:19]) in str(error.value)
    assert "v7.3'" not in str(error.value)


def test_a_cut_off_file_is_named(home):
    content = (home / FILE).read_bytes()
    (home / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{FILE} cannot be read .*truncated.*download the data set again"):
        read(home)


def test_a_file_without_the_struct_is_named_with_what_is_there(tmp_path):
    save_matlab(tmp_path / FILE, matlab_arrays(), name="cuhk03")
    with pytest.raises(ValueError, match="has no struct 'dataset', but cuhk03"):
        read(tmp_path)


@pytest.mark.parametrize("field", ["images", "masks", "cam", "personID"])
def test_a_missing_field_is_named_with_those_there_are(home, field):
    fields = matlab_arrays()
    del fields[field]
    save_matlab(home / FILE, fields)
    with pytest.raises(ValueError, match=f"in .*{FILE} has no {field}; found there: {', '.join(sorted(fields))}$"):
        read(home)


def test_the_image_index_is_not_needed(home):
    fields = matlab_arrays()
    del fields["personSubsetImageIndex"]
    save_matlab(home / FILE, fields)
    assert len(read(home, expected=None)) == 5


@pytest.mark.parametrize(
    ("field", "change", "shape"),
    [
        ("images", lambda array: array.T, "(128, 64, 3, 5): expected (images, 3, 64, 128)"),
        ("images", lambda array: array.transpose(1, 0, 2, 3), "(5, 3, 128, 64): expected (images, 3, 64, 128)"),
        ("images", lambda array: array[:, :, 0], "(5, 64, 128): expected (images, 3, 64, 128)"),
        ("masks", lambda array: array.T, "(128, 64, 5): expected (images, 64, 128)"),
        ("cam", lambda array: np.eye(5), "(5, 5): expected (1, images) or (images, 1)"),
        ("personID", lambda array: array[:, 0], "(5,): expected (1, images) or (images, 1)"),
    ],
)
def test_other_axes_are_refused_with_their_shape(home, field, change, shape):
    fields = matlab_arrays()
    save_matlab(home / FILE, fields | {field: change(fields[field])})
    with pytest.raises(ValueError) as error:
        read(home)
    assert f"{field} in {home / FILE} has shape {shape}" in str(error.value)


@pytest.mark.parametrize(
    ("field", "dtype", "right"),
    [("images", np.float64, "uint8"), ("masks", "S1", "numbers"), ("cam", "S1", "numbers")],
)
def test_other_types_are_refused(home, field, dtype, right):
    fields = matlab_arrays()
    save_matlab(home / FILE, fields | {field: fields[field].astype(dtype)})
    with pytest.raises(ValueError, match=f"{field} in .* has type .*: expected {right}"):
        read(home)


@pytest.mark.parametrize("field", ["images", "masks", "cam", "personID"])
def test_lengths_that_disagree_are_refused(home, field):
    fields = matlab_arrays()
    fewer = fields[field][..., :4] if fields[field].ndim > 2 else fields[field][:4]
    save_matlab(home / FILE, fields | {field: fewer})
    with pytest.raises(ValueError, match=f"'{field}': 4.*expected equal numbers"):
        read(home)


def test_a_file_without_images_is_refused(home):
    shapes = {"images": (0, 3, 64, 128), "masks": (0, 64, 128), "cam": (1, 0), "personID": (1, 0)}
    with h5py.File(home / FILE, "w") as opened:
        for field, shape in shapes.items():
            opened.create_dataset(f"dataset/{field}", shape, np.uint8)
    with pytest.raises(ValueError, match="'images': 0.*one or more"):
        read(home)


@pytest.mark.parametrize("camid", [0, 5, 1.5, np.nan])
def test_a_camera_outside_1_to_4_is_refused(home, camid):
    save_matlab(home / FILE, matlab_arrays(camids=[1, 2, camid, 1, camid]))
    with pytest.raises(ValueError, match=rf"cam of image 000002 in .* is {camid} \(2 such\).*camera 1 to 4"):
        read(home)


@pytest.mark.parametrize("pid", [0, -3, 1.5, np.nan, np.inf, 1e300])
def test_a_person_outside_1_to_nine_digits_is_refused(home, pid):
    fields = matlab_arrays()
    save_matlab(home / FILE, fields | {"personID": np.array([[1, 2, 3, pid, 4.0]])})
    with pytest.raises(
        ValueError, match=rf"personID of image 000003 in .* is {re.escape(f'{pid:g}')} \(1 such\).*number from 1"
    ):
        read(home)


def test_a_damaged_image_is_told_with_the_file(home):
    with h5py.File(home / FILE) as opened:
        place = opened["dataset/images"].id.get_chunk_info(0).byte_offset
    with (home / FILE).open("r+b") as stream:
        stream.seek(place)
        stream.write(bytes(99))
    assert len(read(home, expected=None)) == 5
    with pytest.raises(ValueError, match=f"{home / FILE} cannot be read .*it may be damaged"):
        list(images(home, PATHS))


def test_more_images_than_numbers_are_refused_before_memory_is_asked_for(home):
    shapes = {"images": (10**12, 3, 64, 128), "masks": (10**12, 64, 128), "cam": (1, 10**12), "personID": (1, 10**12)}
    with h5py.File(home / FILE, "w") as opened:
        for field, shape in shapes.items():
            opened.create_dataset(f"dataset/{field}", shape, np.uint8, chunks=True)
    with pytest.raises(ValueError, match=f"fields in {home / FILE} have .*at most 1000000"):
        read(home)


def test_a_single_person_is_named(home):
    save_matlab(home / FILE, matlab_arrays(pids=[7] * 5))
    with pytest.raises(ValueError, match="person 7 only"):
        read(home)


def test_counts_other_than_published_are_one_warning(home):
    with pytest.warns(UserWarning) as caught:
        read(home)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message).split()[-7:] == ["all", "5", "3", "4", "6920", "43", "4"]


def test_expected_counts_are_silent(home):
    expected = counts(read(home, expected=None)).to_dict("index")
    assert expected == {"all": {"images": 5, "identities": 3, "cameras": 4}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(home, expected=expected)


def test_published_counts():
    """6,920 as in the data set's own description, not the 6,290 of the paper."""
    assert EXPECTED == {"all": {"images": 6_920, "identities": 43, "cameras": 4}}


def test_a_file_of_the_published_size_is_silent(tmp_path):
    """Persons 8 and 34 miss a camera each; the pixels are never allocated."""
    pairs = [(pid, camid) for pid in range(1, 44) for camid in range(1, 5) if (pid, camid) not in {(8, 3), (34, 4)}]
    pids, camids = np.resize(pairs, (6_920, 2)).T
    with h5py.File(tmp_path / FILE, "w", userblock_size=512) as opened:
        dataset = opened.create_group("dataset")
        dataset.create_dataset("images", (6_920, 3, 64, 128), np.uint8, chunks=(1, 3, 64, 128))
        dataset.create_dataset("masks", (6_920, 64, 128), np.uint8, chunks=(1, 64, 128))
        dataset["cam"], dataset["personID"] = camids[None].astype(float), pids[None].astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = read(tmp_path)
    assert records["path"].iloc[-1] == f"{FILE}#006919"
    assert (records["pid"].to_numpy() == pids).all()
