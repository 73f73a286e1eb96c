"""Copies of one file among queries and gallery."""

import pandas as pd
import pytest

from gaaplib.datasets import duplicates
from gaaplib.datasets.records import make_records

ROWS = [
    ("q/1.jpg", 1, -1, "query", b"same"),
    ("q/2.jpg", 2, -1, "query", b"other"),
    ("q/3.jpg", 3, -1, "query", b"long, alone"),
    ("g/1.jpg", 1, -1, "gallery", b"same"),
    ("g/1again.jpg", 1, -1, "gallery", b"same"),
    ("g/1size.jpg", 1, -1, "gallery", b"SAME"),
    ("g/2.jpg", 2, -1, "gallery", b"same"),
    ("g/3.jpg", 3, -1, "gallery", b"other"),
    ("t/1.jpg", 4, -1, "train", b"same"),
]


@pytest.fixture
def records(tmp_path):
    for path, *_, content in ROWS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return make_records(row[:4] for row in ROWS)


def test_copies_of_one_identity_are_pairs(tmp_path, records):
    pairs = duplicates.same_bytes(str(tmp_path), records)
    expected = [["q/1.jpg", "g/1.jpg", 1], ["q/1.jpg", "g/1again.jpg", 1]]
    assert list(pairs.columns) == ["query", "gallery", "pid"]
    assert pairs.values.tolist() == expected
    assert duplicates.same_bytes(tmp_path, records.sample(frac=1, random_state=0)).values.tolist() == expected


def test_only_files_of_the_same_identity_and_size_are_read(tmp_path, records, monkeypatch):
    read = []
    monkeypatch.setattr(duplicates, "_sha256", lambda file: read.append(file.name) or "digest")
    duplicates.same_bytes(tmp_path, records)
    assert sorted(read) == ["1.jpg", "1.jpg", "1again.jpg", "1size.jpg"]


def test_the_role_is_meant_where_there_is_one(tmp_path, records):
    roles = records["path"].map({"g/1.jpg": "query", "g/1again.jpg": "gallery"}).fillna("val")
    pairs = duplicates.same_bytes(tmp_path, records.assign(split="all", role=roles))
    assert pairs.values.tolist() == [["g/1.jpg", "g/1again.jpg", 1]]


@pytest.mark.parametrize("splits", [("train",), ("query",), ("gallery",), ("query", "gallery")])
def test_there_may_be_none(tmp_path, records, splits):
    pairs = duplicates.same_bytes(tmp_path, records[records["split"].isin(splits) & (records["pid"] > 1)])
    assert list(pairs.columns) == ["query", "gallery", "pid"]
    assert len(pairs) == 0
    assert pd.api.types.is_integer_dtype(pairs["pid"])


def test_a_missing_image_is_named(tmp_path, records):
    (tmp_path / "g/2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="g/2.jpg"):
        duplicates.same_bytes(tmp_path, records)


def test_members_of_a_file_have_nothing_to_compare(tmp_path, records):
    expected = duplicates.same_bytes(tmp_path, records)
    (tmp_path / "x.mat").touch()
    members = make_records([("x.mat#000000", 1, -1, "query"), ("x.mat#000001", 1, -1, "gallery")])
    for root in (tmp_path, tmp_path / "x.mat"):
        pairs = duplicates.same_bytes(root, members)
        assert list(pairs.columns) == ["query", "gallery", "pid"]
        assert len(pairs) == 0
    assert duplicates.same_bytes(tmp_path, pd.concat([records, members])).equals(expected)


def test_a_file_with_the_members_sign_in_its_name_is_compared_or_missing(tmp_path, records):
    (tmp_path / "g/1.jpg").rename(tmp_path / "g/1#b.jpg")
    records = records.replace({"path": {"g/1.jpg": "g/1#b.jpg"}})
    assert duplicates.same_bytes(tmp_path, records)["gallery"].tolist() == ["g/1#b.jpg", "g/1again.jpg"]
    (tmp_path / "g/1#b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="g/1#b.jpg"):
        duplicates.same_bytes(tmp_path, records)
