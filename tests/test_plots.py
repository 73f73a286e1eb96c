import numpy as np
import pandas as pd
import pytest
from figure_words import check_note_and_file, words

from gaaplib import plots

IMAGE = np.zeros((128, 64, 3), np.uint8)


HISTORY = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "val_loss": [2.1, 1.5], "accuracy": [0.1, 0.5]})
COUNTS = pd.DataFrame({"images": [70, 15], "identities": [5, 4]}, index=["train", "val"])
FIGURES = {
    "image_grid": lambda **k: plots.image_grid([IMAGE] * 3, ["a", "b", "c"], columns=2, **k),
    "rankings": lambda **k: plots.rankings([IMAGE], [[(IMAGE, True), (IMAGE, False)]], **k),
    "training_curves": lambda **k: plots.training_curves(HISTORY, **k),
    "cmc_curves": lambda **k: plots.cmc_curves({"gaap": [0.2, 0.5]}, protocol="retrieval", **k),
    "counts_bars": lambda **k: plots.counts_bars(COUNTS, **k),
    "images_per_identity": lambda **k: plots.images_per_identity([1, 1, 2], **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name, tmp_path):
    check_note_and_file(FIGURES[name], tmp_path / "figure.png")


def test_every_figure_function_is_checked_here():
    public = {n for n, f in vars(plots).items() if callable(f) and getattr(f, "__module__", "") == "gaaplib.plots"}
    assert {name for name in public if not name.startswith("_")} == {*FIGURES, "finish_grid", "mark_synthetic"}


def test_right_and_wrong_images_are_framed_and_marked():
    figure = plots.rankings([IMAGE], [[(IMAGE, True), (IMAGE, False)]])
    edges = [tuple(axis.spines["left"].get_edgecolor()[:3]) for axis in figure.axes]
    assert edges[1:] == [tuple(plots.RIGHT), tuple(plots.WRONG)]
    assert "1 ✓" in words(figure)
    assert "2 ✗" in words(figure)


def test_curves_show_the_given_numbers():
    figure = plots.training_curves(HISTORY)
    lines = {line.get_label(): line.get_ydata().tolist() for line in figure.axes[0].lines}
    assert lines == {"train": [2.0, 1.0], "val": [2.1, 1.5]}
