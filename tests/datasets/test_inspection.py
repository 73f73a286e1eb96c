import numpy as np
import pytest
from made_images import market_folder, write_raid
from PIL import Image

from gaaplib.datasets.inspection import inspect, sheet


@pytest.fixture
def market(tmp_path):
    return market_folder(tmp_path / "market")


def test_found_stands_beside_expected(market):
    report = inspect("market1501", market)
    assert report.counts.loc["train", ("found", "images")] == 24
    assert report.counts.loc["gallery", ("expected", "images")] == 15913
    text = str(report)
    assert "differ from the published" in text
    assert "All 40 images can be decoded" in text
    assert report.is_usable


def test_published_counts_are_said_to_be_so(market, monkeypatch):
    from gaaplib.datasets import market1501

    found = {split: {"images": n, "identities": p, "cameras": 2} for split, n, p in COUNTS}
    monkeypatch.setattr(market1501, "published", lambda root, variant: found)
    assert "The counts are the published ones" in str(inspect("market1501", market))


COUNTS = (("train", 24, 3), ("query", 4, 2), ("gallery", 12, 2))


def test_broken_images_are_named_and_more_than_one_percent_is_refused(market):
    (market / "query/0004_c1s1_000000_00.jpg").write_bytes(b"")
    report = inspect("market1501", market)
    assert "1 of 40 images cannot be decoded (more than 1 %" in str(report)
    assert "query/0004_c1s1_000000_00.jpg: not a readable image (the file is empty)" in str(report)
    assert not report.is_usable
    quick = inspect("market1501", market, open_images=False)
    assert "not opened" in str(quick)
    assert quick.is_usable


def test_copies_of_a_query_are_named(market):
    image = (market / "query/0004_c1s1_000000_00.jpg").read_bytes()
    (market / "bounding_box_test/0004_c2s1_000009_00.jpg").write_bytes(image)
    assert "query/0004_c1s1_000000_00.jpg = bounding_box_test/0004_c2s1_000009_00.jpg (pid 4)" in str(
        inspect("market1501", market)
    )


def test_images_within_a_file_are_opened_too(tmp_path):
    write_raid(tmp_path / "raid")
    report = inspect("raid", tmp_path / "raid")
    assert report.opened == 56
    rows, images = sheet(report, identities=3, images=4)
    assert rows.pid.nunique() == 3
    assert len(images) == len(rows) == 12
    assert images[0].shape == (128, 64, 3)


def test_a_folder_has_no_published_counts(tmp_path):
    for person, images in (("anna", 2), ("ben", 1)):
        (tmp_path / person).mkdir()
        for n in range(images):
            Image.fromarray(np.full((20, 10, 3), 50 * n, np.uint8)).save(tmp_path / person / f"{n}.png")
    text = str(inspect("folder", tmp_path))
    assert "expected" not in text
    assert "1 identities have one image only" in text
    assert "Cameras are unknown" in text


def test_files_that_are_not_read_and_distractors_are_told(tmp_path):
    for name in ("0_1.png", "0_2.png", "1_1.png", "2_1.png", "1_2.HEIC", "deep/2_2.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((20, 10, 3), np.uint8)).save(tmp_path / name, "PNG")
    text = str(inspect("folder", tmp_path, pattern=r"(?P<pid>\d+)_"))
    assert "2 files end in .heic and are not read" in text
    assert "Person 0 is the distractor: its 2 images are in the gallery, and nobody's match." in text


def test_a_sheet_leaves_a_broken_image_empty(market):
    (market / "bounding_box_train/0001_c1s1_000000_00.jpg").write_bytes(b"")
    rows, images = sheet(inspect("market1501", market, open_images=False), identities=9, images=8)
    assert len(rows) == 40
    assert [image is None for image in images].count(True) == 1
