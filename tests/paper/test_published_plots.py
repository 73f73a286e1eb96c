import numpy as np
import pandas as pd
import pytest
from figure_words import check_note_and_file

from gaaplib.paper import published_plots, sota

TABLE = pd.DataFrame([[0.124, 0.124], [0.124, 0.124]], index=["a", "b"], columns=["mRA", "CMC"])
SOURCES = pd.DataFrame(
    [
        ("PCB", sota.PRINTED, 0.8, np.nan, np.nan, "as printed"),
        ("PCB", sota.OWN, 0.9, np.nan, np.nan, "384 x 128"),
        ("PCB", sota.OWN, 0.95, np.nan, np.nan, "another variant"),
        ("HAN", sota.PRINTED, 0.7, np.nan, np.nan, "as printed"),
        ("GAAP", sota.PRINTED, 0.85, np.nan, np.nan, "as printed"),
        ("GAAP", sota.HERE, 0.5, 0.4, 0.6, "128 x 64"),
    ],
    columns=["method", "way", "value", "low", "high", "protocol"],
)
THREE = pd.DataFrame(
    {
        "value": [0.2, np.nan],
        "low": [0.1, np.nan],
        "high": [0.3, np.nan],
        "rank": [1.0, np.nan],
        "rank_low": [1.0, np.nan],
        "rank_high": [2.0, np.nan],
        "table_4": [np.nan, 0.8],
        "table_4_rank": [np.nan, 3.0],
        "own": [0.9, np.nan],
        "own_rank": [12.0, np.nan],
        "words": ["0.200", "collapsed"],
    },
    index=["softmax", "pcb"],
)
NOTHING = pd.DataFrame(np.nan, ["histogram"], THREE.columns.drop("words")).assign(words="not run")
RANKS = pd.Series({"a": 1.2, "b": 1.9, "c": 2.9})
PAIRS = pd.DataFrame({"one": ["a", "a", "b"], "two": ["b", "c", "c"], "p": [0.4, 0.01, 0.03]})
FIGURES = {
    "offsets": lambda **k: published_plots.offsets({"one": TABLE, "two": TABLE + 0.1}, title="offsets", **k),
    "row_shapes": lambda **k: published_plots.row_shapes(TABLE, ["A", "B"], **k),
    "three_sources": lambda **k: published_plots.three_sources(SOURCES, xlabel="rank-1", **k),
    "three_rankings": lambda **k: published_plots.three_rankings(THREE, measured="mAP", **k),
    "critical_difference": lambda **k: published_plots.critical_difference(RANKS, PAIRS, **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name, tmp_path):
    check_note_and_file(FIGURES[name], tmp_path / "figure.png")


def test_every_figure_function_is_checked_here():
    own = {n for n, f in vars(published_plots).items() if getattr(f, "__module__", "") == published_plots.__name__}
    assert {name for name in own if not name.startswith("_")} == {*FIGURES}


def test_rows_of_a_shape_are_lines_of_one_panel():
    axes = published_plots.row_shapes(TABLE, ["A", "A"]).axes
    assert [[list(line.get_ydata()) for line in axis.lines] for axis in axes] == [TABLE.to_numpy().tolist()]


def test_a_constant_difference_is_one_colour_and_another_is_not():
    figure = published_plots.offsets(
        {"constant": TABLE, "not": pd.DataFrame([[0.2, 0.3], [0.1, 0.4]], ["a", "b"], TABLE.columns)}
    )
    figure.canvas.draw()
    colours = [np.unique(axis.collections[0].get_facecolors(), axis=0) for axis in figure.axes]
    assert [len(found) for found in colours] == [1, 4]


def test_each_method_has_its_numbers_on_one_line_and_the_highest_in_table_4_is_first():
    axis = published_plots.three_sources(SOURCES, xlabel="rank-1").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["GAAP", "PCB", "HAN"]
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in dots] == [
        (0.5, 0),
        (0.85, 0),
        (0.8, 1),
        (0.9, 1),
        (0.7, 2),
    ]
    intervals = [segment.tolist() for lines in axis.collections for segment in lines.get_segments()]
    assert [[0.4, 0.0], [0.6, 0.0]] in intervals
    said = [text.get_text() for text in axis.texts]
    assert said == ["0.500", "0.850", "128 x 64", "0.800", "0.900", "384 x 128", "0.700", "no other number found"]


def test_a_bar_joins_neighbours_that_do_not_differ_and_no_others():
    thick = [
        line for line in published_plots.critical_difference(RANKS, PAIRS).axes[0].lines if line.get_linewidth() == 4
    ]
    assert [list(line.get_xdata()) for line in thick] == [[1.2, 1.9]]
    none = PAIRS.assign(p=0.5)
    thick = [
        line for line in published_plots.critical_difference(RANKS, none).axes[0].lines if line.get_linewidth() == 4
    ]
    assert [list(line.get_xdata()) for line in thick] == [[1.2, 2.9]]


def test_three_rankings_have_an_axis_each_and_say_what_is_missing():
    figure = published_plots.three_rankings(pd.concat([THREE, NOTHING]), measured="CUHK03, mAP")
    labels = [axis.get_xlabel().split(" (")[0] for axis in figure.axes]
    assert labels == ["rank by CUHK03, mAP", "rank by Table IV", "rank by own papers"]
    numbers = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert numbers == [["0.200", "collapsed"], ["none", "0.800"], ["0.900", "none"]]
    assert [axis.lines[0].get_xdata()[at] for axis, at in zip(figure.axes, (0, 1, 0), strict=True)] == [1, 3, 12]
    assert len({axis.get_xlim() for axis in figure.axes}) == 3
