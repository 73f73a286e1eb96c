import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gaaplib.images import open_store, read_image


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
