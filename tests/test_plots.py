import numpy as np
import pandas as pd
import pytest
from figure_words import words

from gaaplib import plots

IMAGE = np.zeros((128, 64, 3), np.uint8)


HISTORY = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "val_loss": [2.1, 1.5], "accuracy": [0.1, 0.5]})
COUNTS = pd.DataFrame({"images": [70, 15], "identities": [5, 4]}, index=["train", "val"])
POINTS = pd.DataFrame({"printed": [0.8, 0.7, 0.6], "own": [0.9, 0.95, 0.8]}, index=["PCB", "MGN", "HCT"])
BARS = pd.DataFrame(
    {
        "method": ["PCB", "PCB", "gaap"],
        "way": list(plots.WAYS)[:3],
        "value": [0.8, 0.9, 0.5],
        "low": [np.nan, np.nan, 0.4],
        "high": [np.nan, np.nan, 0.6],
        "protocol": ["as printed", "384 x 128", "128 x 64"],
    }
)
RANKS = pd.Series({"a": 1.2, "b": 1.9, "c": 2.9})
PAIRS = pd.DataFrame({"one": ["a", "a", "b"], "two": ["b", "c", "c"], "p": [0.4, 0.01, 0.03]})
FIGURES = {
    "image_grid": lambda **k: plots.image_grid([IMAGE] * 3, ["a", "b", "c"], columns=2, **k),
    "rankings": lambda **k: plots.rankings([IMAGE], [[(IMAGE, True), (IMAGE, False)]], **k),
    "training_curves": lambda **k: plots.training_curves(HISTORY, **k),
    "cmc_curves": lambda **k: plots.cmc_curves({"gaap": [0.2, 0.5]}, protocol="retrieval", **k),
    "counts_bars": lambda **k: plots.counts_bars(COUNTS, **k),
    "images_per_identity": lambda **k: plots.images_per_identity([1, 1, 2], **k),
    "figures_by_method": lambda **k: plots.figures_by_method(BARS, xlabel="rank-1", **k),
    "one_against_other": lambda **k: plots.one_against_other(POINTS, **k),
    "rank_changes": lambda **k: plots.rank_changes(POINTS, **k),
    "critical_difference": lambda **k: plots.critical_difference(RANKS, PAIRS, **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name, tmp_path):
    assert "synthetic" in words(FIGURES[name](synthetic=True))
    figure = FIGURES[name](synthetic=False)
    assert "synthetic" not in words(figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_every_figure_function_is_checked_here():
    public = {n for n, f in vars(plots).items() if callable(f) and getattr(f, "__module__", "") == "gaaplib.plots"}
    assert {name for name in public if not name.startswith("_")} == {*FIGURES, "finish_grid", "mark_synthetic"}


def test_right_and_wrong_have_their_frames_and_signs():
    figure = plots.rankings([IMAGE], [[(IMAGE, True), (IMAGE, False)]])
    edges = [tuple(axis.spines["left"].get_edgecolor()[:3]) for axis in figure.axes]
    assert edges[1:] == [tuple(plots.RIGHT), tuple(plots.WRONG)]
    assert "1 ✓" in words(figure)
    assert "2 ✗" in words(figure)


def test_curves_show_the_numbers_they_are_given():
    figure = plots.training_curves(HISTORY)
    lines = {line.get_label(): line.get_ydata().tolist() for line in figure.axes[0].lines}
    assert lines == {"train": [2.0, 1.0], "val": [2.1, 1.5]}


def test_bars_have_their_values_intervals_and_protocols():
    axis = plots.figures_by_method(BARS, xlabel="rank-1").axes[0]
    assert [bar.get_width() for bar in axis.patches] == [0.8, 0.9, 0.5]
    assert [line.get_xdata().tolist() for line in axis.lines] == [[0.4, 0.6]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["PCB", "gaap"]
    assert "384 x 128" in words(axis.figure)


def test_rank_1_is_the_highest():
    lines = plots.rank_changes(POINTS).axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[1, 2], [2, 1], [3, 3]]


def test_a_bar_joins_neighbours_that_do_not_differ_and_no_others():
    thick = [line for line in plots.critical_difference(RANKS, PAIRS).axes[0].lines if line.get_linewidth() == 4]
    assert [list(line.get_xdata()) for line in thick] == [[1.2, 1.9]]
    none = PAIRS.assign(p=0.5)
    thick = [line for line in plots.critical_difference(RANKS, none).axes[0].lines if line.get_linewidth() == 4]
    assert [list(line.get_xdata()) for line in thick] == [[1.2, 2.9]]
