import multiprocessing
import os
import signal
import struct
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from gaaplib.datasets import images
from gaaplib.datasets.images import open_store, read_image


def picture(height=32, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder_of_images(root, count):
    """PNG files 0001.png ... and their records."""
    root.mkdir(parents=True, exist_ok=True)
    paths = [f"{place:04d}.png" for place in range(count)]
    for place, path in enumerate(paths):
        Image.fromarray(picture(seed=place)).save(root / path)
    return pd.DataFrame({"path": paths, "pid": 1, "camid": 1, "split": "train"})


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "LA", "1"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.fromarray(picture()).convert(mode).save(path)
    image = read_image(path, 24, 12)
    assert image.shape == (24, 12, 3)
    assert image.dtype == np.uint8
    assert image.std() > 1


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 16 * 8).reshape(16, 8).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    image = read_image(tmp_path / "deep.png", 16, 8)
    assert np.abs(image[..., 0].astype(int) - np.round(values / 257.0).astype(int)).max() <= 1


def test_transparent_pixels_take_the_border_colour(tmp_path):
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png", 8, 8) == (124, 116, 104)).all()


def test_the_rotation_mark_is_obeyed(tmp_path):
    image = Image.fromarray(picture(16, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    turned = np.rot90(np.asarray(image), -1)
    assert np.array_equal(read_image(tmp_path / "turned.png", 32, 16), turned)


ORDINARY = {
    "as it is": {},
    "upside down": {"exif": 3},
    "on its side": {"exif": 6, "size": (128, 64)},
    "a colour that is clear": {"transparency": tuple(picture(128, 64)[5, 5].tolist())},
    "of another size": {"size": (50, 90)},
}


@pytest.mark.parametrize("name", ORDINARY)
def test_a_step_left_out_changes_no_pixel(tmp_path, name):
    options = dict(ORDINARY[name])
    image = Image.fromarray(picture(*options.pop("size", (64, 128))[::-1]))
    if "exif" in options:
        orientation, options["exif"] = options["exif"], Image.Exif()
        options["exif"][0x0112] = orientation
    image.save(tmp_path / "image.png", **options)
    with Image.open(tmp_path / "image.png") as image:
        whole = images._to_rgb(ImageOps.exif_transpose(image)).convert("RGB")
    pixels = np.asarray(whole.resize((64, 128), Image.Resampling.BILINEAR))
    assert np.array_equal(read_image(tmp_path / "image.png", 128, 64), pixels)


def with_orientation(path, orientation, extra=b"", count=1):
    """A JPEG with hand-made EXIF: the orientation, and further tags as bytes."""
    tags = struct.pack("<HHII", 0x0112, 3, 1, orientation) + extra
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1 + len(extra) // 12) + tags + bytes(4)
    Image.fromarray(picture(16, 32)).save(path, exif=exif, quality=95)
    return path


ODD_TAGS = {
    "a unit of resolution as a byte": struct.pack("<HHII", 0x0128, 1, 1, 2),
    "a unit of resolution as text": struct.pack("<HHI4s", 0x0128, 2, 4, b"two\0"),
    "a software of numbers": struct.pack("<HHII", 0x0131, 4, 1, 7),
    "a place that is a number": struct.pack("<HHII", 0x8825, 3, 1, 7),
    "a type that does not exist": struct.pack("<HHII", 0x0100, 99, 1, 7),
    "values beyond the end": struct.pack("<HHII", 0x010F, 2, 2**31, 2**31),
}


@pytest.mark.parametrize("tag", ODD_TAGS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_odd_tag_does_not_keep_an_image_from_being_turned(tmp_path, tag, orientation):
    plain = with_orientation(tmp_path / "plain.jpg", orientation)
    odd = with_orientation(tmp_path / "odd.jpg", orientation, ODD_TAGS[tag])
    with Image.open(plain) as image:
        turned = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(odd, *turned.shape[:2]), turned)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_leaves_the_image_as_it_is(tmp_path, orientation):
    upright = read_image(with_orientation(tmp_path / "upright.jpg", 1), 16, 32)
    assert np.array_equal(read_image(with_orientation(tmp_path / "odd.jpg", orientation), 16, 32), upright)


def test_floats_on_the_scale_of_8_bits_are_rounded(tmp_path):
    values = np.linspace(0, 255, 16 * 8, dtype=np.float32).reshape(16, 8)
    Image.fromarray(values).save(tmp_path / "float.tif")
    image = read_image(tmp_path / "float.tif", 16, 8)
    assert np.abs(image - values[..., None]).max() <= 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 255.5, 1e30])
def test_floats_of_another_scale_are_refused_with_the_name(tmp_path, value):
    values = np.full((16, 8), 100, np.float32)
    values[3, 3] = value
    Image.fromarray(values).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="float.tif: not a readable image .its grey values are floats from .* to "):
        read_image(tmp_path / "float.tif", 16, 8)


def test_floats_from_0_to_1_are_not_taken_for_black(tmp_path):
    Image.fromarray(np.linspace(0, 1, 128, dtype=np.float32).reshape(16, 8)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="float.tif: .*floats from 0 to 1, and their scale is not known"):
        read_image(tmp_path / "float.tif", 16, 8)


@pytest.mark.parametrize("error", [ZeroDivisionError("no width"), MemoryError(), struct.error("4 bytes"), KeyError(7)])
def test_whatever_a_decoder_raises_the_file_is_named(tmp_path, monkeypatch, error):
    folder_of_images(tmp_path, 1)

    def fail(image):
        raise error

    monkeypatch.setattr(Image.Image, "convert", fail)
    monkeypatch.setattr(Image.Image, "resize", lambda image, *_: fail(image))
    with pytest.raises(ValueError, match=f"{tmp_path}/0000.png: not a readable image .{error or 'MemoryError'}"):
        read_image(tmp_path / "0000.png", 8, 8)


def test_an_image_within_a_file_that_cannot_be_decoded_is_named(tmp_path):
    bad = Image.fromarray(np.full((16, 8), np.nan, np.float32))
    found = list(images.decoded(tmp_path, 8, 8, lambda paths: iter([bad, Image.new("RGB", (8, 8))]), ["a#0", "a#1"]))
    assert found[0].startswith("a#0: not a readable image (its grey values are floats from nan")
    assert found[1].shape == (8, 8, 3)


BROKEN = {
    "empty.jpg": b"",
    "text.jpg": b"this is no picture, whatever its name says",
    "missing.jpg": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(tmp_path, name):
    if BROKEN[name] is not None:
        (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=name):
        read_image(tmp_path / name, 8, 8)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "short.jpg"
    Image.fromarray(picture(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="short.jpg"):
        read_image(path, 8, 8)


def test_the_store_holds_what_the_files_hold_and_is_reused(tmp_path):
    records = folder_of_images(tmp_path / "data", 12)
    store = open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)
    assert np.array_equal(store.images[3], picture(seed=3))
    assert not store.images.flags.writeable
    assert store.records.row.tolist() == list(range(12))
    before = sorted((tmp_path / "cache").rglob("*"))
    again = open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)
    assert sorted((tmp_path / "cache").rglob("*")) == before
    assert again.fingerprint == store.fingerprint


def test_the_store_notices_a_changed_file(tmp_path):
    records = folder_of_images(tmp_path / "data", 3)
    first = open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)
    Image.fromarray(picture(40, 20, seed=99)).save(tmp_path / "data/0001.png")
    second = open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)
    assert second.fingerprint != first.fingerprint
    assert not np.array_equal(second.images[1], first.images[1])


def test_the_fingerprint_does_not_depend_on_the_place_but_on_identities(tmp_path):
    records = folder_of_images(tmp_path / "a", 3)
    folder_of_images(tmp_path / "b", 3)
    cache = tmp_path / "cache"
    one = open_store(tmp_path / "a", records, 32, 16, cache, progress=False).fingerprint
    two = open_store(tmp_path / "b", records, 32, 16, cache, progress=False).fingerprint
    other = open_store(tmp_path / "b", records.assign(pid=[1, 1, 2]), 32, 16, cache, progress=False)
    assert one == two != other.fingerprint


def test_a_few_broken_images_are_listed_and_left_out(tmp_path):
    records = folder_of_images(tmp_path / "data", 120)
    (tmp_path / "data/0007.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 of 120 .*\n.*0007.png: .*empty"):
        store = open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)
    assert len(store.records) == 119
    assert "0007.png" not in set(store.records.path)
    row = store.records.set_index("path").row["0008.png"]
    assert np.array_equal(store.images[row], picture(seed=8))


def test_more_than_one_percent_broken_is_an_error(tmp_path):
    records = folder_of_images(tmp_path / "data", 120)
    for name in ("0007.png", "0050.png"):
        (tmp_path / "data" / name).write_text("no picture")
    with pytest.raises(ValueError, match=r"2 of 120(.|\n)*0007.png(.|\n)*0050.png(.|\n)*1%"):
        open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)


def test_a_missing_file_is_named(tmp_path):
    records = folder_of_images(tmp_path / "data", 2)
    (tmp_path / "data/0001.png").unlink()
    with pytest.raises(FileNotFoundError, match="0001.png"):
        open_store(tmp_path / "data", records, 32, 16, tmp_path / "cache", progress=False)


def opened(folder, records, **options):
    return open_store(folder / "data", records, 32, 16, folder / "cache", progress=False, **options)


def store_file(folder, name):
    (path,) = (folder / "cache").glob(f"*/{name}")
    return path


def build_and_die(folder, records, count, done=None):
    """Build the store, saving progress every ten images; stop with an error at the image of that number."""
    images.SAVE_EVERY, images.PIECE, images.AHEAD = 10, 1, 16

    def deadly(path, height, width):
        if path.name == f"{count:04d}.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return read_image(path, height, width)

    images.read_image = deadly
    store = opened(folder, records)
    done.put((store.fingerprint, store.images.sum(dtype=int)))


def test_a_store_whose_process_was_killed_is_gone_on_with(tmp_path, monkeypatch):
    records = folder_of_images(tmp_path / "data", 120)
    (tmp_path / "data/0007.png").write_bytes(b"")
    process = multiprocessing.get_context("spawn").Process(target=build_and_die, args=(tmp_path, records, 97))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    read = []
    monkeypatch.setattr(images, "read_image", lambda path, *size: read.append(path.name) or read_image(path, *size))
    with pytest.warns(UserWarning, match="1 of 120"):
        store = opened(tmp_path, records)
    # At most the images decoded ahead and nine unsaved ones are decoded again.
    assert 24 <= len(read) < 24 + 16 + 10
    assert sorted(read)[-1] == "0119.png"
    (tmp_path / "cache").rename(tmp_path / "killed")
    with pytest.warns(UserWarning, match="1 of 120"):
        whole = opened(tmp_path, records)
    assert np.array_equal(store.images, whole.images)
    assert store.fingerprint == whole.fingerprint
    assert store.undecodable == whole.undecodable


def test_two_processes_build_one_store(tmp_path):
    records = folder_of_images(tmp_path / "data", 300)
    context = multiprocessing.get_context("spawn")
    done = context.SimpleQueue()
    processes = [context.Process(target=build_and_die, args=(tmp_path, records, 999, done)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [done.get() for _ in processes]
    for process in processes:
        process.join()
    store = opened(tmp_path, records, verify=True)
    assert found == [(store.fingerprint, store.images.sum(dtype=int))] * 2


def test_no_more_is_decoded_ahead_than_is_said_however_slow_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "AHEAD", 4)
    monkeypatch.setattr(images, "PIECE", 4)
    records = folder_of_images(tmp_path, 101)
    read = []
    monkeypatch.setattr(images, "read_image", lambda path, *size: read.append(path) or read_image(path, *size))
    decoded = images.decoded(tmp_path, 32, 16, None, records.path.tolist())
    assert np.array_equal(next(decoded), picture(seed=0))
    time.sleep(0.3)
    assert len(read) == 16
    assert sum(1 for _ in decoded) == 100 and len(read) == 101


def test_another_process_is_waited_for(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    flock, asked = fcntl.flock, []

    def taken_once(file, operation):
        asked.append(operation)
        if operation & fcntl.LOCK_NB:
            raise BlockingIOError
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", taken_once)
    with pytest.warns(UserWarning, match="another process is decoding"):
        opened(tmp_path, folder_of_images(tmp_path / "data", 3))
    assert asked == [fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "short": lambda folder: os.truncate(store_file(folder, "images.npy"), 5000),
    "long": lambda folder: store_file(folder, "images.npy").open("ab").write(b"more"),
    "no array": lambda folder: store_file(folder, "images.npy").unlink(),
    "another head": lambda folder: flip(store_file(folder, "images.npy"), 70),
    "no note": lambda folder: store_file(folder, "store.json").unlink(),
    "half a note": lambda folder: os.truncate(store_file(folder, "store.json"), 30),
    "no object": lambda folder: store_file(folder, "store.json").write_text("[]"),
    "a pixel": lambda folder: flip(store_file(folder, "images.npy"), 9000),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_store_is_decoded_anew_with_a_warning(tmp_path, name):
    records = folder_of_images(tmp_path / "data", 12)
    before = opened(tmp_path, records)
    pixels = np.array(before.images)
    DAMAGE[name](tmp_path)
    # A changed pixel is detected when the checksum is compared.
    with pytest.warns(UserWarning, match="damaged .* decoded again") as warned:
        after = opened(tmp_path, records, verify=name == "a pixel")
    assert len(warned) == 1
    assert np.array_equal(after.images, pixels)
    assert after.fingerprint == before.fingerprint


def members(asked, fail_at=None):
    """A reader of images inside one file, which records the requested paths."""

    def read(paths):
        asked.append(len(paths))
        for place, path in enumerate(paths):
            if place == fail_at:
                raise OSError("the cable was pulled")
            yield Image.fromarray(picture(seed=int(path.rpartition("#")[2])))

    return read


@pytest.mark.parametrize("damaged", [False, True])
def test_images_within_one_file_are_gone_on_with_unless_what_is_there_is_damaged(tmp_path, monkeypatch, damaged):
    monkeypatch.setattr(images, "SAVE_EVERY", 10)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/all.mat").write_bytes(b"images")
    paths = [f"all.mat#{place}" for place in range(40)]
    records = pd.DataFrame({"path": paths, "pid": 1, "camid": 1, "split": "train"})
    asked = []
    with pytest.raises(OSError, match="cable"):
        opened(tmp_path, records, read_members=members(asked, fail_at=25))
    if damaged:
        flip(store_file(tmp_path, "images.npy"), 9000)
        with pytest.warns(UserWarning, match="checksum differs"):
            store = opened(tmp_path, records, read_members=members(asked))
    else:
        store = opened(tmp_path, records, read_members=members(asked))
    assert asked == [40, 40 if damaged else 20]
    assert all(np.array_equal(store.images[place], picture(seed=place)) for place in range(40))


def test_a_full_disk_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(images.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"needs 0.0 GB, but its disk has 0.0 GB left"):
        opened(tmp_path, folder_of_images(tmp_path / "data", 3))


def test_a_disk_that_loses_what_was_written_is_told(tmp_path, monkeypatch):
    saved = images._StoreFiles._save
    monkeypatch.setattr(images._StoreFiles, "_save", lambda self, store: saved(self, {**store, "pixels": "0" * 64}))
    with (
        pytest.warns(UserWarning, match="checksum differs"),
        pytest.raises(OSError, match="other data than was written"),
    ):
        opened(tmp_path, folder_of_images(tmp_path / "data", 3))
