"""The table of records: building, checks and counts."""

import warnings

import numpy as np
import pandas as pd
import pytest

from gaaplib.datasets.records import (
    COLUMNS,
    check_records,
    counts,
    make_records,
    sample,
    totals,
    warn_if_counts_differ,
)

ROWS = [
    ("query/2.jpg", 7, 2, "query"),
    ("train/1.jpg", 3, 1, "train"),
    ("gallery/9.jpg", 0, 1, "gallery"),
    ("gallery/3.jpg", 7, 1, "gallery"),
]


def changed(**values):
    """The rows with the second one's values replaced."""
    row = dict(zip(COLUMNS, ROWS[1], strict=True)) | values
    return [ROWS[0], tuple(row.values()), *ROWS[2:]]


def test_records_are_sorted_and_typed():
    records = make_records(iter(ROWS))
    assert list(records.columns) == list(COLUMNS) == ["path", "pid", "camid", "split"]
    assert records["path"].tolist() == sorted(row[0] for row in ROWS)
    assert records["pid"].tolist() == [7, 0, 7, 3]
    assert records.index.equals(pd.RangeIndex(4))
    assert records["pid"].dtype == records["camid"].dtype == np.int64
    check_records(records)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no records: give at least one"),
        ([*ROWS, ROWS[1]], "row 4 .*'train/1.jpg'.*path occurs before"),
        (changed(path="/train/1.jpg"), "row 1 .*must be relative"),
        (changed(path="train\\1.jpg"), "row 1 .*forward slashes"),
        (changed(path=None), "row 1 has (nan|None) in column path: it must be a string"),
        (changed(pid=-1), "row 1 .*pid -1.*must be positive, or 0 for a distractor"),
        (changed(pid=0), "row 1 .*train.*pid 0 is a distractor, which belongs to the gallery only"),
        (changed(pid=0, split="query"), "row 1 .*query.*distractor"),
        (changed(pid=1.5), "column pid has dtype float64: it must be int64"),
        (changed(pid="3"), "column pid has dtype .*must be int64"),
        (changed(camid=-2), "row 1 .*camid -2.*0 or more, or -1 if"),
        (changed(camid=-1), "row 1 .*unknown while others are known"),
        (changed(split="test"), "row 1 .*'test'.*must be one of train, query, gallery, all"),
        (changed(split="all"), "row 1 .*'all' while others have an official split"),
        (changed(split=3), "row 1 has 3 in column split"),
    ],
)
def test_wrong_rows_are_refused_by_name(rows, message):
    with pytest.raises(ValueError, match=message):
        make_records(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.drop(columns="camid"), r"columns are \['path', 'pid', 'split'\]: they must be"),
        (lambda r: r.assign(time=1), "columns are .*'time'"),
        (lambda r: r.iloc[::-1].reset_index(drop=True), "not sorted by path"),
        (lambda r: r.iloc[1:], "index from 0"),
        (lambda r: r.assign(pid=[7, 0, -7, 3]), "row 2 .*pid -7"),
        (lambda r: r.assign(pid=r["pid"].astype("int32")), "dtype int32"),
    ],
)
def test_wrong_tables_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_records(change(make_records(ROWS)))


def test_distractors_may_be_in_the_gallery_or_where_there_is_no_split():
    records = make_records([("a", 0, -1, "all"), ("b", 1, -1, "all")])
    assert records["pid"].tolist() == [0, 1]


def test_counts():
    table = counts(make_records([*ROWS, ("train/2.jpg", 4, 1, "train")]))
    assert table.index.tolist() == ["train", "query", "gallery"]
    assert table.to_dict("index") == {
        "train": {"images": 2, "identities": 2, "cameras": 1},
        "query": {"images": 1, "identities": 1, "cameras": 1},
        "gallery": {"images": 2, "identities": 2, "cameras": 1},
    }


def test_unknown_cameras_count_as_none():
    table = counts(make_records([("a", 5, -1, "all"), ("b", 6, -1, "all")]))
    assert table.to_dict("index") == {"all": {"images": 2, "identities": 2, "cameras": 0}}


EXPECTED = {
    "train": {"images": 1, "identities": 1, "cameras": 1},
    "query": {"images": 1, "identities": 1, "cameras": 1},
    "gallery": {"images": 2, "identities": 2, "cameras": 1},
}


def test_equal_counts_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_counts_differ(make_records(ROWS), EXPECTED, "Toy")
        only_images = {split: {"images": row["images"]} for split, row in EXPECTED.items()}
        warn_if_counts_differ(make_records(ROWS), only_images, "Toy")


@pytest.mark.parametrize(
    ("expected", "numbers"),
    [
        (EXPECTED | {"train": {"images": 12936, "identities": 1, "cameras": 1}}, ("12936",)),
        (EXPECTED | {"all": {"images": 77, "identities": 1, "cameras": 1}}, ("all", "77")),
        ({"train": EXPECTED["train"], "query": EXPECTED["query"]}, ("gallery",)),
    ],
)
def test_a_difference_is_one_warning_with_both_sides(expected, numbers):
    with pytest.warns(UserWarning) as caught:
        warn_if_counts_differ(make_records(ROWS), expected, "Toy")
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("Toy on disk differs")
    for word in ("found", "expected", "images", "identities", "train", *numbers):
        assert word in message


def test_a_sample_is_a_row_of_images_of_each_of_some_identities():
    sizes = {1: 9, 2: 4, 3: 5, 4: 1, 5: 6}
    rows = [(f"{pid}/{n}.jpg", pid, n % 3, "all") for pid, size in sizes.items() for n in range(size)]
    rows += [(f"0/{n}.jpg", 0, 1, "all") for n in range(20)]
    chosen = sample(make_records(rows), identities=3, images=4)
    assert chosen["pid"].tolist() == [1] * 4 + [2] * 4 + [5] * 4
    assert chosen.loc[chosen["pid"] == 1, "camid"].tolist() == [0, 0, 1, 2]
    assert chosen["path"].is_unique
    # No identity has so many images: the number of the largest one is used.
    assert sample(make_records(rows), identities=3, images=50)["pid"].tolist() == [1] * 9


def test_totals_count_each_identity_once():
    found = totals(counts(make_records(ROWS)))
    assert found.to_dict() == {"images": 4, "identities": 2, "cameras": 1}
    unsplit = totals(counts(make_records([("a.jpg", 1, -1, "all"), ("b.jpg", 2, -1, "all")])))
    assert unsplit.to_dict() == {"images": 2, "identities": 2, "cameras": 0}
    test_only = pd.DataFrame({"query": {"images": 3, "identities": 2}, "gallery": {"images": 4, "identities": 2}}).T
    assert totals(test_only).to_dict() == {"images": 7, "identities": 2, "cameras": 0}
