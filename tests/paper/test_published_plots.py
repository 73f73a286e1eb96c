import numpy as np
import pandas as pd
import pytest
from figure_words import words

from gaaplib.paper import published_plots

TABLE = pd.DataFrame([[0.124, 0.124], [0.124, 0.124]], index=["a", "b"], columns=["mRA", "CMC"])
FIGURES = {
    "offsets": lambda **k: published_plots.offsets({"one": TABLE, "two": TABLE + 0.1}, title="offsets", **k),
    "row_shapes": lambda **k: published_plots.row_shapes(TABLE, ["A", "B"], **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name, tmp_path):
    assert "synthetic" in words(FIGURES[name](synthetic=True))
    figure = FIGURES[name](synthetic=False)
    assert "synthetic" not in words(figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_every_figure_function_is_checked_here():
    own = {n for n, f in vars(published_plots).items() if getattr(f, "__module__", "") == published_plots.__name__}
    assert own == {*FIGURES}


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
