import numpy as np
import pytest
from PIL import Image

from gaaplib.datasets import masks

MASK = np.zeros((8, 4), bool)
MASK[2:6, 1:3] = True


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "masks" / "a").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    Image.fromarray(MASK).save(tmp_path / "masks" / "a" / "1.png")
    Image.new("RGB", (4, 8)).save(tmp_path / "a" / "1.jpg")
    return tmp_path


def test_a_mask_lies_under_the_path_of_its_image(folder):
    assert masks.file_of(folder, "a/1.jpg") == folder / "masks" / "a" / "1.png"
    found = masks.read(folder, "a/1.jpg")
    assert found.dtype == bool and np.array_equal(found, MASK)


def test_any_value_but_0_is_the_person(folder):
    Image.fromarray(MASK * np.uint8(3)).save(folder / "masks" / "a" / "1.png")
    assert np.array_equal(masks.read(folder, "a/1.jpg"), MASK)


def test_a_missing_mask_is_named(folder):
    with pytest.raises(FileNotFoundError, match="no mask of 'a/2.jpg' in .*: looked for .*masks/a/2.png, a PNG of one"):
        masks.read(folder, "a/2.jpg")


def test_other_files_are_refused_by_name(folder):
    Image.new("RGB", (4, 8)).save(folder / "masks" / "a" / "1.png")
    with pytest.raises(ValueError, match="1.png has 3 channels; a mask has one"):
        masks.read(folder, "a/1.jpg")
    (folder / "masks" / "a" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="1.png cannot be read"):
        masks.read(folder, "a/1.jpg")


def test_a_mask_of_another_size_is_refused(folder):
    assert np.array_equal(next(masks.of_files(folder, ["a/1.jpg"])), MASK)
    Image.fromarray(MASK[:6]).save(folder / "masks" / "a" / "1.png")
    with pytest.raises(ValueError, match="1.png has 6 x 4 pixels, but its image has 8 x 4"):
        next(masks.of_files(folder, ["a/1.jpg"]))
