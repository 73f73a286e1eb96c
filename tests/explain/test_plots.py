import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figure_words import check_note_and_file

from gaaplib import plots
from gaaplib.evaluation import statistics
from gaaplib.evaluation.statistics import Interval
from gaaplib.explain import plots as map_plots
from gaaplib.explain.localisation import auc, centre_prior, uniform

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), np.uint8)
MAPS = {"received": centre_prior(3, 4, 2, spread=0.1), "uniform": uniform(3, 4, 2)}
TABLE = pd.DataFrame(
    {
        "share": [
            Interval(0.6, 0.5, 0.7, 0.95, 20),
            Interval(0.4, 0.3, 0.5, 0.95, 20),
            Interval(0.2, 0.1, 0.3, 0.95, 20),
        ],
        "IoU": [
            Interval(0.5, 0.4, 0.6, 0.95, 20),
            Interval(0.3, 0.2, 0.4, 0.95, 20),
            Interval(0.1, 0.0, 0.2, 0.95, 20),
        ],
    },
    index=["received", "centre prior", "uniform"],
)
CURVES = {
    "received": (np.array([[1, 0.5, 0.0], [0.8, 0.4, 0.0]]), np.array([[0, 0.5, 1.0], [0, 0.6, 0.8]])),
    "untrained": (np.array([[1, 0.9, 0.0], [0.8, 0.8, 0.0]]), np.array([[0, 0.1, 1.0], [0, 0.2, 0.8]])),
}
STATES = ["match", "same camera", "wrong", None]


def matches(states=STATES, maps=None, **keywords):
    gallery = [IMAGES[1]] * len(states)
    return map_plots.match_sheet(IMAGES[0], gallery, states, np.arange(len(states)) / 10, maps=maps, **keywords)


FIGURES = {
    "map_sheet": lambda **k: map_plots.map_sheet(IMAGES, MAPS, **k),
    "match_sheet": lambda **k: matches(maps=uniform(5, 4, 2), **k),
    "localisation_bars": lambda **k: map_plots.localisation_bars(TABLE, **k),
    "deletion_insertion_curves": lambda **k: map_plots.deletion_insertion_curves(CURVES, **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name, tmp_path):
    for ending in ("png", "pdf"):
        check_note_and_file(FIGURES[name], tmp_path / f"figure.{ending}")


def test_every_figure_function_is_checked_here():
    own = {n for n, f in vars(map_plots).items() if callable(f) and getattr(f, "__module__", "") == map_plots.__name__}
    assert {name for name in own if not name.startswith("_")} == {*FIGURES, "overlay", "ranks"}


def test_a_map_has_the_lines_of_its_cells_and_fills_the_image():
    axis = plt.figure().subplots()
    drawn = map_plots.overlay(axis, IMAGES[0], MAPS["received"][0], top=0.5)
    assert drawn.get_extent() == [-0.5, 31.5, 63.5, -0.5]
    np.testing.assert_array_equal(drawn.get_array(), MAPS["received"][0])
    lines = [line.tolist() for line in axis.collections[0].get_segments()]
    assert lines == [[[-0.5, y], [31.5, y]] for y in (15.5, 31.5, 47.5)] + [[[15.5, -0.5], [15.5, 63.5]]]


def test_a_map_lies_on_its_image_wherever_that_is():
    axis = plt.figure().subplots()
    map_plots.overlay(axis, IMAGES[0], MAPS["received"][0], top=0.5, at=(100, 20))
    assert {tuple(image.get_extent()) for image in axis.images} == {(99.5, 131.5, 83.5, 19.5)}
    assert axis.collections[0].get_segments()[-1].tolist() == [[115.5, 19.5], [115.5, 83.5]]


def test_all_maps_of_a_sheet_have_one_scale_which_marks_the_uniform_value():
    figure = map_plots.map_sheet(IMAGES, MAPS, labels=["a", "b", "c"])
    panels, bar = figure.axes[:9], figure.axes[9]
    limits = {axis.images[1].get_clim() for place, axis in enumerate(panels) if place % 3}
    assert limits == {(0, MAPS["received"].max())}
    assert [axis.get_title() for axis in panels[:3]] == ["image", "received", "uniform"]
    assert [axis.get_ylabel() for axis in panels[::3]] == ["a", "b", "c"]
    assert list(bar.lines[-1].get_ydata()) == [1 / 8, 1 / 8]
    assert "uniform: 1/8" in bar.get_ylabel()


def test_maps_of_different_grids_are_multiples_of_a_uniform_map():
    fine = centre_prior(3, 8, 4)
    figure = map_plots.map_sheet(IMAGES, MAPS | {"fine": fine})
    panels, bar = figure.axes[:12], figure.axes[12]
    assert list(bar.lines[-1].get_ydata()) == [1, 1]
    assert "multiple" in bar.get_ylabel()
    np.testing.assert_array_equal(panels[2].images[1].get_array(), np.ones((4, 2)))
    np.testing.assert_array_equal(panels[3].images[1].get_array(), 32 * fine[0])


def boxes(figure, texts):
    renderer = figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in texts]


@pytest.mark.parametrize("count", [2, 5])
def test_long_names_and_titles_overlap_neither_each_other_nor_the_images(count):
    run = "synthetic-market1501_resnet18_class_average_gaap_fold0_seed0_1a2b3c4d"
    names = ["attention=none, pooling=average, neck=bnneck", f"{run}", *(f"name {n} of many words" for n in range(3))]
    maps = dict.fromkeys(names[:count], MAPS["received"])
    title = "received left out of attention=none, pooling=max: this network has no attention block and so it is flat"
    for figure in (map_plots.map_sheet(IMAGES, maps, title=title), matches(maps=uniform(5, 4, 2), title=title)):
        panels = [axis for axis in figure.axes if axis.get_title()] or figure.axes[:1]
        over = boxes(figure, [axis.title for axis in panels] if panels[0].get_title() else panels[0].texts)
        (head,) = boxes(figure, [figure._suptitle])
        assert all(not one.overlaps(other) for one, other in itertools.combinations(over, 2))
        assert all(box.y1 < head.y0 for box in over)
        assert head.x0 >= 0 and head.x1 <= figure.bbox.x1 and head.y1 <= figure.bbox.y1
        assert all(box.y0 > axis.bbox.y1 for box, axis in zip(over, panels, strict=False))


def test_short_names_take_no_more_space():
    short, long = (map_plots.map_sheet(IMAGES, {name: MAPS["uniform"]}) for name in ("one,\ntwo", "one\ntwo\nthree"))
    assert 0.1 < long.get_figheight() - short.get_figheight() < 0.2
    tall = map_plots.WIDE * IMAGES.shape[1] / IMAGES.shape[2] + map_plots.GAP
    assert short.get_figheight() == pytest.approx(map_plots.ABOVE + 3 * tall)


def test_a_sheet_is_no_wider_than_a_page():
    for columns in (1, 8):
        figure = map_plots.map_sheet(IMAGES, dict.fromkeys(range(columns), MAPS["uniform"]))
        assert figure.get_figwidth() <= map_plots.PAGE + 1e-9


def test_what_an_image_is_has_its_frame_sign_and_rank():
    figure = matches(maps=uniform(5, 4, 2))
    axis = figure.axes[0]
    labels = ["query", "1 ✓\n0.000", "same cam.\n0.100", "2 ✗\n0.200", "3\n0.300"]
    assert [text.get_text() for text in axis.texts] == labels
    edges = [frame.get_edgecolor()[:3] for frame in axis.patches[:5]]
    assert edges[1] == tuple(plots.RIGHT)
    assert edges[3] == tuple(plots.WRONG)
    assert edges[2] not in (edges[0], edges[1], edges[3])
    assert edges[4] == edges[0]


def test_frames_and_labels_are_where_the_images_are():
    axis = matches(maps=uniform(5, 4, 2)).axes[0]
    photographs, maps = axis.images[:5], axis.images[6::2]
    for image, frame in zip([*photographs, *maps], axis.patches, strict=True):
        left, right, bottom, top = image.get_extent()
        assert frame.get_bbox().extents == pytest.approx([left, top, right, bottom])
    for image, text in zip(photographs, axis.texts, strict=True):
        left, right, _, top = image.get_extent()
        assert text.xy == pytest.approx(((left + right) / 2, top))
    # Nothing overlaps, and all is in sight.
    edges = [edge for image in photographs for edge in image.get_extent()[:2]]
    assert edges == sorted(edges) and axis.get_xlim() == pytest.approx((edges[0], edges[-1]))
    assert maps[0].get_extent()[3] > photographs[0].get_extent()[2]
    assert axis.get_ylim() == pytest.approx((maps[0].get_extent()[2], photographs[0].get_extent()[3]))


def test_the_scale_is_beside_the_maps():
    figure = matches(maps=uniform(5, 4, 2))
    axis, bar = figure.axes
    left, right, bottom, top = axis.images[6].get_extent()
    corners = figure.transFigure.inverted().transform(axis.transData.transform([[0, bottom], [0, top]]))
    place = bar.get_position()
    assert [place.y0, place.y1] == pytest.approx(corners[:, 1])
    assert place.x0 > axis.get_position().x1


def test_matches_without_maps_are_one_row_without_a_scale():
    (axis,) = matches().axes
    assert len(axis.images) == 5
    assert [len(axis.images) for axis in matches(maps=uniform(5, 4, 2)).axes[:1]] == [15]


def test_bars_show_means_and_intervals_and_baselines_are_grey():
    axis = map_plots.localisation_bars(TABLE).axes[1]
    assert [bar.get_width() for bar in axis.patches] == [0.5, 0.3, 0.1]
    *intervals, dashed = [list(line.get_xdata()) for line in axis.lines]
    assert intervals == [[0.4, 0.6], [0.2, 0.4], [0.0, 0.2]]
    assert dashed == [0.1, 0.1]
    colours = [bar.get_facecolor()[:3] for bar in axis.patches]
    assert [len(set(colour)) == 1 for colour in colours] == [False, True, True]
    assert len(set(colours)) == 3


def test_curves_are_means_with_bands_and_areas(monkeypatch):
    monkeypatch.setattr(statistics, "MIN_GROUPS", 2)
    figure = map_plots.deletion_insertion_curves(CURVES)
    for side, axis in enumerate(figure.axes):
        means = {name: pair[side].mean(axis=0).tolist() for name, pair in CURVES.items()}
        areas = {f"{name}: {auc(pair[side]).mean():.3f}" for name, pair in CURVES.items()}
        assert [line.get_ydata().tolist() for line in axis.lines] == list(means.values())
        assert {text.get_text() for text in axis.get_legend().get_texts()} == areas
        # A resample of two images can hold one of them twice, so the band reaches from the one to the other.
        band = axis.collections[0].get_paths()[0].vertices
        at_half = band[band[:, 0] == 0.5][:, 1]
        values = CURVES["received"][side][:, 1]
        assert (at_half.min(), at_half.max()) == pytest.approx((values.min(), values.max()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: map_plots.map_sheet(IMAGES[:2], MAPS), "one map for each of 2"),
        (lambda: map_plots.map_sheet(IMAGES, {"flat": MAPS["uniform"][0]}), r"\(4, 2\)"),
        (lambda: matches(["macth"]), "'macth' is not known; known: 'match', 'wrong', 'same camera', None"),
        (lambda: matches(maps=uniform(4, 4, 2)), "4 maps: give 5"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
