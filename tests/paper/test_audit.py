import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import audit as oracle

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.paper import audit, claims

PAPER = Path(__file__).parents[3] / "shared/paper/gaap-paper.txt"
needs_paper = pytest.mark.skipif(not PAPER.exists(), reason="the paper's text is missing")
TABLES, TABLE_4, CLAIMS = audit.read("paper_tables_1_2_3"), audit.read("paper_table_4"), audit.read("claims")
BLOCK = audit.cells(TABLES, table="I")
NONE = audit.cells(TABLES, table="II", attention="none")
MAXIMUM = audit.cells(TABLES, table="III", pooling="max")
EARLIER = audit.methods_by_column(TABLE_4).drop(index="GAAP")


def paper():
    """The paper's text on one line."""
    return re.sub(r"\s+", " ", PAPER.read_text().replace(r"$\pm 2\%$", "± 2%"))


def changed(series):
    """The series with one cell one thousandth higher."""
    series = series.copy()
    series.iloc[7] += 1
    return series


def independent(series, seed=0):
    """Independent random cells with the same range."""
    rng = np.random.default_rng(seed)
    return pd.Series(rng.integers(series.min(), series.max(), len(series)), series.index)


# The files.


@needs_paper
def test_tables_1_to_3_equal_the_text_cell_by_cell():
    keys = ["table", "backbone", "dataset", "attention", "pooling", "metric", "folds"]
    ours = TABLES.set_index(keys).value.to_dict()
    printed = oracle.tables_1_to_3(PAPER.read_text())
    assert {key: float(number) for key, number in printed.items()} == ours
    assert len(ours) == len(TABLES) == 400


@needs_paper
def test_table_4_equals_the_text_cell_by_cell():
    ours = TABLE_4.set_index(["method", "reference", "dataset", "metric"]).value.to_dict()
    printed = oracle.table_4(PAPER.read_text())
    assert {key: float(number) for key, number in printed.items()} == ours
    assert len(ours) == len(TABLE_4) == 144


@needs_paper
def test_every_claim_and_every_figure_stands_in_the_text():
    text = paper()
    for row in CLAIMS.itertuples():
        assert row.sentence in text, row.claim
    for row in audit.read("paper_figures").itertuples():
        assert row.text_says in text, row.what
        assert row.caption in text, row.what
        assert row.text_says.split("Fig. ")[1].startswith(str(row.figure_in_text))
        assert row.caption.startswith(f"Fig. {row.figure_in_caption}.")


def test_claims_name_tests_measures_and_fields_that_exist():
    fields = set(RunConfig().to_dict())
    assert CLAIMS.claim.is_unique
    assert set(CLAIMS.test) == set(claims.TESTS)
    assert set(CLAIMS.measure.dropna()) <= {*runs.MEASURES, "seconds", "parameters", "mRA"}
    for row in CLAIMS.astype(object).fillna("").itertuples():
        terms = [re.split("!?=", term)[0] for term in f"{row.run} {row.against}".split()]
        assert {*terms, *row.may_differ.replace("*", "").split()} <= fields
        assert row.would_show


def test_published_figures_say_where_they_were_seen():
    published = audit.read("published_methods")
    assert set(published[published.dataset == "market1501"].method) == set(EARLIER.index)
    # DSR is not in the paper, but in the list of another source.
    assert set(published.method) - {"DSR"} == set(EARLIER.index)
    known, missing = published[published.value.notna()], published[published.value.isna()]
    assert set(known.confidence) <= {"original paper", "official repository", "another source", "to be confirmed"}
    assert known.value.between(0, 1).all()
    assert known[known.confidence != "to be confirmed"].seen_in.notna().all()
    assert missing.confidence.isna().all()
    assert (missing.note == "not found").all()


def test_an_unknown_table_names_those_there_are():
    with pytest.raises(FileNotFoundError, match=r"papers\.csv is missing; .* claims, .*paper_table_4"):
        audit.read("papers")


# The checks: on the real tables, after one change, and on independent ones.


def test_table_3_is_table_2_plus_a_constant():
    found = audit.agreement(NONE, MAXIMUM)
    assert (found.difference, found.count, found.of) == (124, 80, 80)
    assert found.by_chance < 12
    assert audit.agreement(NONE, changed(MAXIMUM)).count == 79
    assert audit.agreement(NONE, independent(MAXIMUM)).count < 12
    assert str(found).startswith("80 of 80 differences are +0.124; in 1,000 random pairings")


def test_rows_are_few_shapes():
    with_, without = audit.shapes(BLOCK), audit.shapes(NONE)
    assert sorted(with_["shape"].value_counts()) == [1, 3, 4, 4, 4, 4]
    assert sorted(without["shape"].value_counts()) == [4] * 5
    assert set(with_.constant) | set(without.constant) == {0, 72, 87, 109, 136}
    assert with_.loc[("vgg19", "raid")].tolist() == [with_.loc[("vgg16", "market1501"), "shape"], 72]
    assert audit.shapes(changed(NONE))["shape"].nunique() == 6
    assert audit.shapes(independent(NONE))["shape"].nunique() == 20
    shuffled = pd.Series(np.random.default_rng(1).permutation(NONE), NONE.index)
    assert audit.shapes(shuffled)["shape"].nunique() == 20


def test_independent_measurements_would_have_more_shapes():
    counts = audit.shapes_by_chance(NONE, simulations=200)
    assert counts.min() > 15
    assert (counts == audit.shapes_by_chance(NONE, simulations=200)).all()
    # Without any deviation all rows are one shape: the simulation has the precision that the cells have.
    flat = pd.Series(500, NONE.index)
    assert (audit.shapes_by_chance(flat, simulations=5) == 1).all()


def test_columns_of_table_4_follow_offsets():
    found = audit.column_agreements(EARLIER, pairings=50).set_index(["one", "two"])
    always = found[found["count"] == 17].difference.to_dict()
    assert always[("raid mRA", "raid CMC")] == 100
    assert always[("market1501 mRA", "partial_ilids mRA")] == -100
    assert always[("market1501 CMC", "partial_ilids CMC")] == -100
    assert always[("raid mRA", "rpifield mRA")] == always[("raid CMC", "rpifield CMC")] == -100
    assert found.loc[("market1501 mRA", "market1501 CMC"), ["difference", "count"]].tolist() == [14, 15]
    shuffled = EARLIER.apply(np.random.default_rng(0).permutation)
    assert audit.column_agreements(shuffled, pairings=1)["count"].max() < 8


def test_the_column_of_gaap_is_another_than_its_heading():
    own = audit.methods_by_column(TABLE_4).loc["GAAP"].unstack("metric")
    deepest = BLOCK.xs("resnet50", level="backbone").unstack(["metric", "folds"])
    equal = audit.equal_cells(own, deepest)
    assert equal.loc["CMC"].to_dict() == {("mRA", 1): 0, ("mRA", 5): 4, ("CMC", 1): 0, ("CMC", 5): 0}
    assert equal.loc["mRA", ("mRA", 1)] == 4
    assert audit.equal_cells(own + 1, deepest).max(axis=None) == 0


def test_means_are_exact_and_round_as_stated():
    found = audit.means(BLOCK)
    # One value, or all, of each key: (5 + 1)(4 + 1)(2 + 1)(2 + 1).
    assert len(found) == 270
    assert audit.rounding_to(0.912, found)["of"].tolist() == ["resnet50 rpifield mRA 5"]
    assert audit.rounding_to(0.8412, found).empty
    moved = BLOCK.copy()
    moved[("resnet50", "rpifield", "mRA", 5)] = 500
    assert audit.rounding_to(0.912, audit.means(moved)).empty
    three = pd.DataFrame({"of": list("abc"), "mean": [Fraction(9115, 10000), Fraction(91149, 100000), Fraction(1)]})
    assert audit.rounding_to(0.912, three)["of"].tolist() == ["a"]


def test_leaders_and_ties():
    best = audit.leaders(BLOCK, "backbone")
    assert best[("market1501", "mRA", 5)] == "resnet18"
    assert best[("raid", "CMC", 1)] == "resnet34"
    assert (best == "resnet50").sum() == 5
    tied = BLOCK.copy()
    tied[("vgg16", "raid", "CMC", 1)] = tied[("resnet34", "raid", "CMC", 1)]
    assert audit.leaders(tied, "backbone")[("raid", "CMC", 1)] == "vgg16 = resnet34"


def test_who_is_above_gaap():
    found = audit.standing(audit.methods_by_column(TABLE_4), "GAAP")
    assert found.loc[("raid", "CMC"), ["above", "equal", "below", "highest"]].tolist() == [10, 0, 7, 0.991]
    assert found.loc[("market1501", "mRA"), ["above", "equal", "below"]].tolist() == [0, 1, 16]
    assert found.loc[("market1501", "mRA"), "who is above or equal"] == "HAN"


def test_gains_are_those_of_the_cells():
    found = audit.gain(NONE, BLOCK)
    assert found.mean == pytest.approx(0.2261)
    assert found.between(0.3) == 1
    assert str(found) == "+0.226 on average over 80 cells (+38.6% of their mean), from 0.163 to 0.312"
    pooling = audit.gain(MAXIMUM, BLOCK)
    assert (pooling.cells.min(), pooling.cells.max()) == (39, 188)
    assert pooling.between(0.08, 0.12) == ((pooling.cells >= 80) & (pooling.cells <= 120)).sum() == 41
    with pytest.raises(ValueError, match="80 and 79 cells; expected the same rows and columns"):
        audit.gain(NONE, BLOCK.iloc[1:])


def test_without_padding_vgg16_ends_before_its_last_block():
    found = audit.unpadded(128, 64)
    assert found.iloc[-1].tolist() == ["block 4, convolution 2", 7, -1]
    for before, after in zip(found.iloc[:-2].itertuples(), found.iloc[1:-1].itertuples(), strict=True):
        size, step = (2, 2) if "pooling" in after.layer else (3, 1)
        assert after.height == oracle.windows(before.height, size, step)
        assert after.width == oracle.windows(before.width, size, step)
    assert len(audit.unpadded(512, 512)) == 1 + sum(audit.VGG16) + len(audit.VGG16)


def test_references_that_two_methods_share():
    assert audit.shared_references(TABLE_4) == {"28": ["PCB", "BoT"]}
    assert audit.shared_references(TABLE_4[TABLE_4.method != "PCB"]) == {}


def test_the_cells_are_put_in_words_and_follow_the_cells():
    words = audit.in_the_cells(CLAIMS, TABLES, TABLE_4)
    assert set(words) <= set(CLAIMS.claim)
    assert words["attention adds 30 %"].endswith("1 of 80 reach it")
    assert words["Table IV compares CMC"] == "the column CMC equals Table I's mRA, 5-fold, in 4 of 4 data sets"
    higher = TABLES.assign(value=TABLES.value.where(TABLES.attention != "none", (TABLES.value - 0.1).round(3)))
    assert "80 of 80 reach it" not in words["attention adds 30 %"]
    assert audit.in_the_cells(CLAIMS, higher, TABLE_4)["attention adds 30 %"].startswith("+0.326")


def test_cells_that_are_no_thousandths_or_not_one_half_are_refused():
    with pytest.raises(ValueError, match=r"value 0.1234 at row 1: .* three decimals"):
        audit.thousandths([0.5, 0.1234])
    with pytest.raises(ValueError, match="value nan at row 0"):
        audit.thousandths([np.nan])
    with pytest.raises(ValueError, match="160 cells, 80 of them twice"):
        audit.cells(TABLES, table="II")
    with pytest.raises(ValueError, match="0 cells"):
        audit.cells(TABLES, table="V")


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20), st.integers(-200, 200))
def test_a_constant_is_found_whatever_it_is(values, constant):
    one = pd.Series(values)
    found = audit.agreement(one, one + constant, pairings=1)
    assert (found.difference, found.count) == (constant, len(values))
