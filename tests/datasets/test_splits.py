"""Properties of the protocol's splits on random tables of records."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib.datasets.records import DISTRACTOR, make_records
from gaaplib.datasets.splits import (
    ROLES,
    identity_folds,
    no_match,
    protocol_split,
    query_gallery,
    training_split,
)
from gaaplib.metrics import evaluate_distances

TRAINED = {"train", "val", "test"}
FOLDS = 3


@st.composite
def images(draw, min_identities, max_identities, cameras):
    """(pid, camid) of each image: identities of one image or more, seen by any of the cameras."""
    rows = []
    for pid in range(1, draw(st.integers(min_identities, max_identities)) + 1):
        for camid in draw(st.lists(st.sampled_from(cameras), min_size=1, max_size=12)):
            rows.append((pid * 3, camid))
    return rows


@st.composite
def tables(draw, official=None):
    """Tables with and without an official split: several cameras, one, or none known."""
    cameras = draw(st.sampled_from([[-1], [4], [1, 2], [1, 2, 3, 6]]))
    official = draw(st.booleans()) if official is None else official
    rows = draw(images(FOLDS, 9, cameras))
    distractors = [(DISTRACTOR, cameras[0])] * draw(st.integers(0, 3))
    if official:
        trained = [(pid, camid, "train") for pid, camid in rows]
        tested = [
            (pid + 1, camid, draw(st.sampled_from(["query", "gallery"]))) for pid, camid in draw(images(0, 4, cameras))
        ]
        found = trained + tested + [(*row, "gallery") for row in distractors]
    else:
        found = [(*row, "all") for row in rows + distractors]
    names = draw(st.permutations(range(len(found))))
    return make_records((f"{n:03d}.jpg", *row) for n, row in zip(names, found, strict=True))


@settings(max_examples=120, deadline=None)
@given(tables(), st.integers(0, FOLDS - 1), st.integers(0, 2**32))
def test_every_split_keeps_the_protocol(records, fold, seed):
    split = protocol_split(records, fold, FOLDS, seed)
    pd.testing.assert_frame_equal(split[list(records.columns)], records)
    assert set(split["role"]) <= set(ROLES)

    pids = {role: set(split.loc[split["role"] == role, "pid"]) for role in ROLES}
    seen = pids["train"] | pids["val"] | pids["test"]
    unseen = pids["query"] | pids["gallery"]
    assert not seen & unseen
    assert pids["val"] | pids["test"] <= pids["train"]
    assert DISTRACTOR not in seen | pids["query"]
    assert pids["train"]
    if (split["split"] != "all").all():
        official = split["role"].where(~split["role"].isin(TRAINED), "train")
        assert official.tolist() == split["split"].tolist()


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, FOLDS - 1), st.integers(0, 9))
def test_all_training_images_train_and_retrieval_stays_the_same(records, fold, seed):
    split = protocol_split(records, fold, FOLDS, seed)
    whole = protocol_split(records, fold, FOLDS, seed, training_images="all")
    assert whole["role"].tolist() == ["train" if role in TRAINED else role for role in split["role"]]


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, FOLDS - 1), st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(records, fold, seed, random):
    order = list(range(len(records)))
    random.shuffle(order)
    split = protocol_split(records, fold, FOLDS, seed)
    pd.testing.assert_frame_equal(protocol_split(records.iloc[order], fold, FOLDS, seed), split)
    pd.testing.assert_series_equal(
        training_split(records.iloc[order], fold, seed).sort_index(),
        training_split(records, fold, seed),
    )
    pd.testing.assert_series_equal(query_gallery(records.iloc[order], seed).sort_index(), query_gallery(records, seed))


@settings(max_examples=60, deadline=None)
@given(tables(official=False), st.integers(0, 9))
def test_the_folds_test_each_identity_once(records, seed):
    tested = []
    for fold in range(FOLDS):
        split = protocol_split(records, fold, FOLDS, seed)
        tested += set(split.loc[~split["role"].isin(TRAINED), "pid"]) - {DISTRACTOR}
    assert sorted(tested) == sorted(set(records["pid"]) - {DISTRACTOR})
    sizes = identity_folds(records, FOLDS, seed).value_counts()
    assert sizes.max() - sizes.min() <= 1


@settings(max_examples=120, deadline=None)
@given(tables(official=False), st.integers(0, 9))
def test_every_query_drawn_has_a_match(records, seed):
    records = records.assign(role=query_gallery(records, seed))
    query, gallery = (records[records["role"] == role] for role in ("query", "gallery"))
    assert not query.duplicated(["pid", "camid"]).any()
    if query.empty:
        return
    cameras = (query["camid"], gallery["camid"]) if (records["camid"] >= 0).all() else ()
    distances = [[0.0] * len(gallery)] * len(query)
    scores = evaluate_distances(distances, query["pid"], gallery["pid"], *cameras)
    assert scores.valid.all()


def one_identity(cameras):
    return make_records((f"{n:03d}", 5, camid, "all") for n, camid in enumerate(cameras))


@pytest.mark.parametrize(
    ("cameras", "queried"),
    [
        ([1, 1, 2, 2, 3, 3], [1, 2, 3]),  # each camera can spare one
        ([1, 2, 2, 2], [1]),  # camera 2's query would have nothing left in camera 1
        ([1, 2, 2, 3], [1, 3]),
        ([1, 1, 2, 2, 3], [1, 2, 3]),
        ([1, 2, 3], [2, 3]),  # no camera has two images: the first camera stays in the gallery
        ([1, 1, 1], []),  # one camera: all would be junk
        ([1], []),
        ([-1, -1, -1], [-1]),  # no cameras: one query
        ([-1], []),  # its query would have no match
    ],
)
def test_which_cameras_ask(cameras, queried):
    records = one_identity(cameras)
    roles = query_gallery(records, seed=0)
    assert records.loc[roles == "query", "camid"].sort_values().tolist() == queried


@pytest.mark.parametrize(
    ("images", "train", "held_out"),
    [
        (1, 1, 0),
        (2, 2, 0),
        (3, 1, 1),
        (4, 2, 1),
        (9, 7, 1),
        (10, 6, 2),
        (20, 14, 3),
        (30, 20, 5),
        (100, 70, 15),
        (1000, 700, 150),
    ],
)
def test_shares_of_an_identity(images, train, held_out):
    roles = training_split(one_identity([1] * images), fold=0, seed=0).value_counts()
    assert roles.reindex(["train", "val", "test"], fill_value=0).tolist() == [train, held_out, held_out]


def test_every_image_gets_its_turn_in_validation_and_test():
    records = one_identity([1] * 10)
    drawn = [training_split(records, fold, seed) for seed in range(20) for fold in range(5)]
    for role, chance in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        share = sum(roles == role for roles in drawn) / len(drawn)
        # Five standard errors of a share among 100 random splits.
        assert (abs(share - chance) < 5 * (chance * (1 - chance) / 100) ** 0.5).all()


def test_folds_and_seeds_draw_anew():
    rows = [(f"{pid}/{n}", pid, n % 2, "all") for pid in range(1, 11) for n in range(6)]
    records = make_records(rows)
    splits = [protocol_split(records, fold, 5, seed)["role"] for seed in (0, 1) for fold in (0, 1)]
    assert not any(a.equals(b) for i, a in enumerate(splits) for b in splits[:i])
    official = records.assign(split="train")
    drawn = [protocol_split(official, fold, 5)["role"] for fold in range(5)]
    assert not any(a.equals(b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_the_options_not_given():
    records = make_records((f"{pid}/{n}", pid, n % 2, "all") for pid in range(1, 11) for n in range(6))
    pd.testing.assert_frame_equal(protocol_split(records), protocol_split(records, fold=0, folds=5, seed=0))
    pd.testing.assert_series_equal(identity_folds(records), identity_folds(records, folds=5, seed=0))


def test_as_many_folds_as_identities_or_two():
    records = make_records((f"{pid}", pid, 1, "all") for pid in range(1, 7))
    assert sorted(identity_folds(records, 6)) == [0, 1, 2, 3, 4, 5]
    assert sorted(identity_folds(records, 2)) == [0, 0, 0, 1, 1, 1]


def test_a_data_set_without_training_images_is_for_retrieval_only():
    records = make_records([("q/1", 1, -1, "query"), ("g/1", 1, -1, "gallery")])
    assert protocol_split(records)["role"].tolist() == ["gallery", "query"]


def test_further_columns_are_carried_along():
    records = make_records([("b", 1, 1, "train"), ("a", 2, 1, "train")]).assign(row=[7, 8])
    split = protocol_split(records.iloc[::-1].set_axis([5, 3]))
    assert split[["path", "row"]].values.tolist() == [["a", 7], ["b", 8]]
    assert split.index.tolist() == [0, 1]
    assert split.columns.tolist() == ["path", "pid", "camid", "split", "row", "role"]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ("all", {"fold": 5}, r"fold is 5: with 5 folds it must be 0 \.\. 4"),
        ("all", {"fold": -1}, "fold is -1"),
        ("train", {"fold": 5}, "fold is 5"),
        ("all", {"folds": 1}, "folds is 1: it must be at least 2"),
        ("all", {"folds": 7, "fold": 6}, "fold is 6: 6 identities have 6 folds, 0 to 5"),
        ("one", {}, "1 identities are too few: each fold is tested on identities of its own"),
        ("crossing", {}, r"pid 2 is both in training and in query or gallery \(2 such pids\)"),
    ],
)
def test_errors(rows, options, message):
    tables = {
        "all": [(f"{pid}", pid, 1, "all") for pid in range(1, 7)] + [("0", 0, 1, "all")],
        "train": [("1", 1, 1, "train")],
        "one": [("1", 1, 1, "all"), ("2", 0, 1, "all")],
        "crossing": [
            (f"{n}", pid, n, split)
            for n, (pid, split) in enumerate([(1, "train"), (2, "train"), (3, "train"), (2, "query"), (3, "gallery")])
        ],
    }
    with pytest.raises(ValueError, match=message):
        protocol_split(make_records(tables[rows]), **options)


@pytest.mark.parametrize("people", [2, 3, 4, 5, 6])
def test_fewer_identities_than_folds_have_a_fold_each(people):
    records = make_records([(f"{pid}-{image}", pid, -1, "all") for pid in range(1, people + 1) for image in range(3)])
    tested = [protocol_split(records, fold).query("role == 'query'").pid.nunique() for fold in range(min(people, 5))]
    assert sum(tested) == people and min(tested) == 1


ONE_CAMERA = "no query has a match of another camera (all are of camera 4), and those of its own"
OWN_CAMERAS = "no query has a match of another camera (each identity has one camera only), and those of its own"


@pytest.mark.parametrize(
    ("queries", "gallery", "split", "reason"),
    [
        ([], [(1, 4), (2, 4), (0, 4)], "all", "none of the 2 identities to be tested on has enough images for a query"),
        ([], [(1, 4), (2, 4)], None, "no image has the split 'query': "),
        ([(1, 4), (2, 4)], [], None, "no image has the split 'gallery': "),
        ([(5, 1), (6, 1)], [(1, 2), (7, 2)], None, "no identity of the 2 queries (such as 5) is in the gallery"),
        ([(1, 4), (2, 4)], [(1, 4), (2, 4)], None, ONE_CAMERA),
        ([(1, 4), (2, 6)], [(1, 4), (2, 6)], None, OWN_CAMERAS),
        ([(1, -1)], [(1, -1)], None, None),  # unknown cameras
        ([(1, 4), (2, 4)], [(1, 4), (2, 6)], None, None),  # one match is enough
        ([(1, 4), (2, 6)], [(1, 4), (2, 4)], None, None),
        ([(1, 4)], [(1, 6)], "all", None),
    ],
)
def test_why_no_query_has_a_match(queries, gallery, split, reason):
    rows = [(*row, "query") for row in queries] + [(*row, "gallery") for row in gallery]
    table = make_records((f"{n}", pid, camid, split or role) for n, (pid, camid, role) in enumerate(rows))
    found = no_match(table.assign(role=[role for *_, role in rows]))
    assert found is None if reason is None else found.startswith(reason)


def test_malformed_records_are_refused():
    records = make_records([("a", 1, 1, "train"), ("b", 2, 1, "train")])
    with pytest.raises(ValueError, match="pid -2"):
        protocol_split(records.assign(pid=[1, -2]))
