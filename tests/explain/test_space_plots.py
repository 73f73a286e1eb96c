import numpy as np
import pandas as pd
import pytest
from figure_words import check_note_and_file

from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.explain import space_plots

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"pid": np.repeat(np.arange(12), 3), "camid": np.tile([1, 2, 3], 12)})
PLANES = {name: RNG.normal(size=(36, 2)) for name in ("PCA", "t-SNE")}
IMAGES = RNG.integers(0, 255, (6, 16, 8, 3), dtype=np.uint8)
OUTLIERS = pd.DataFrame({"silhouette": [-0.5, 0.25], "same": [0, 1], "other": [2, 5]}, index=[4, 3])
FIGURES = {
    "planes": lambda **k: space_plots.planes(PLANES, TABLE, **k),
    "outlier_sheet": lambda **k: space_plots.outlier_sheet(IMAGES, OUTLIERS, **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name, tmp_path):
    check_note_and_file(FIGURES[name], tmp_path / "figure.png")


def test_ten_people_and_every_camera_have_a_colour_and_no_point_is_left_out():
    figure = space_plots.planes(PLANES, TABLE)
    assert [axis.get_title() for axis in figure.axes] == ["PCA", "t-SNE", "", ""]
    identity, camera = figure.axes[0], figure.axes[2]
    assert [len(dots.get_offsets()) for dots in identity.collections] == [*[3] * 10, 6]
    assert [len(dots.get_offsets()) for dots in camera.collections] == [12, 12, 12]
    for dots in (identity.collections, camera.collections):
        assert sum(len(each.get_offsets()) for each in dots) == 36
    legends = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes[1::2]]
    assert legends[0][0] == "identity 0" and legends[0][-1] == "others" and len(legends[0]) == 11
    assert legends[1] == ["camera 1", "camera 2", "camera 3"]


def test_without_cameras_there_is_no_row_of_them():
    figure = space_plots.planes(PLANES, TABLE.assign(camid=UNKNOWN_CAMERA))
    assert [axis.get_ylabel() for axis in figure.axes] == ["by identity", ""]
    assert [axis.get_title() for axis in figure.axes] == ["PCA", "t-SNE"]


def test_each_outlier_stands_above_its_neighbours():
    figure = space_plots.outlier_sheet(IMAGES, OUTLIERS)
    drawn = [axis.images[0].get_array() for axis in figure.axes]
    assert np.array_equal(drawn, IMAGES[[4, 3, 0, 1, 2, 5]])
    assert [axis.get_title() for axis in figure.axes[:2]] == ["-0.50", "+0.25"]
