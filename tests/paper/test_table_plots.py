import math

import numpy as np
import pandas as pd
import pytest
from figure_words import words

from gaaplib.paper import table_plots

COLUMNS = ("dataset", "backbone", "attention", "pooling", "fold", "seed", "status", "value", "low", "high", "chance")
FOUND = pd.DataFrame(
    [
        ("raid", "vgg16", "class", "avg", 0, 0, "diverged", *[math.nan] * 4),
        ("raid", "resnet18", "class", "avg", 0, 0, "done", 0.6, 0.5, 0.7, 0.02),
        ("raid", "resnet18", "class", "avg", 1, 0, "done", 0.55, 0.45, 0.65, 0.02),
        ("rpifield", "resnet18", "class", "avg", 0, 0, "not run", *[math.nan] * 4),
    ],
    columns=COLUMNS,
)
PRINTED = pd.DataFrame(
    {"dataset": ["raid"] * 2, "backbone": ["vgg16", "resnet34"], "attention": "class", "pooling": "avg", "value": 0.8}
)

GAINED = pd.DataFrame(
    {
        "difference": [0.1, -0.2, 0.01, math.nan],
        "low": [0.05, -0.3, -0.1, math.nan],
        "high": [0.15, -0.1, 0.1, math.nan],
        "verdict": ["gain", "loss", "no clear difference", "diverged"],
    },
    index=pd.MultiIndex.from_tuples([("vgg16", "raid"), ("vgg19", "raid"), ("resnet18", "raid"), ("resnet34", "raid")]),
)
COSTS = pd.DataFrame({"parameters, millions": [14.0, 11.0], "ms an image": [9.0, 3.0]}, index=["vgg16", "resnet18"])


def over_data_sets(found, **more):
    return table_plots.over_setting({"mRA": {"raid": found}}, "dataset", xlabel="data set", **more)


CURVES = pd.DataFrame(
    [
        ("gaap with attention", "gaap", "class", "done", 0.02, "cross-entropy", 1, 9.0, 0.1, 0.2, 4.0, 3.0),
        ("gaap with attention", "gaap", "class", "done", 0.02, "cross-entropy", 2, 15.0, 0.3, 0.5, 2.0, 1.0),
        ("triplet without attention", "triplet", "none", "not run", math.nan, "triplet loss", *[math.nan] * 6),
    ],
    columns=["name", "method", "attention", "status", "chance", "loss_name", "epoch", "seconds"]
    + ["accuracy", "val_accuracy", "loss", "val_loss"],
)
CROSSED = pd.DataFrame(
    [
        ("none", None, "raid", "done", 0.6, 0.5, 0.7, 0.02, False, 20),
        ("none", "raid", "rpifield", "done", 0.04, 0.0, 0.08, 0.03, True, 20),
        ("class", "raid", "rpifield", "diverged", *[math.nan] * 6),
        ("class", None, "raid", "done", 0.4, math.nan, math.nan, 0.03, False, 2),
    ],
    columns=["attention", "train_dataset", "dataset", "status", "value", "low", "high", "chance", "at_chance"]
    + ["identities"],
)


FIGURES = {
    "accuracies": lambda **k: table_plots.accuracies(CURVES, **k),
    "accuracies, none there": lambda **k: table_plots.accuracies(CURVES[:0], **k),
    "training accuracies": lambda **k: table_plots.training_accuracies(CURVES, **k),
    "training accuracies, none there": lambda **k: table_plots.training_accuracies(CURVES[:0], **k),
    "losses": lambda **k: table_plots.losses(CURVES, **k),
    "losses, none there": lambda **k: table_plots.losses(CURVES[:0], **k),
    "crossings": lambda **k: table_plots.crossings(CROSSED, measure="CMC(1)", **k),
    "crossings, none there": lambda **k: table_plots.crossings(CROSSED[:0], measure="CMC(1)", **k),
    "cells": lambda **k: table_plots.cells(FOUND, PRINTED, ylabel="mRA", **k),
    "cells, none there": lambda **k: table_plots.cells(FOUND[:0], ylabel="mRA", **k),
    "forest": lambda **k: table_plots.forest({"mRA": GAINED, "mAP": GAINED}, xlabel="difference", **k),
    "forest, none there": lambda **k: table_plots.forest({"mRA": GAINED[:0]}, xlabel="difference", **k),
    "against cost": lambda **k: table_plots.against_cost(FOUND, COSTS, ylabel="mRA", **k),
    "against cost, none there": lambda **k: table_plots.against_cost(FOUND[:0], COSTS, ylabel="mRA", **k),
    "over a setting": lambda **k: over_data_sets(FOUND, **k),
    "over a setting, none there": lambda **k: over_data_sets(FOUND[:0], **k),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_synthetic_when_it_is_and_only_then(name):
    assert "synthetic" in words(FIGURES[name](synthetic=True))
    assert "synthetic" not in words(FIGURES[name](synthetic=False))


def test_cells_draw_what_is_there_and_say_why_the_rest_is_not():
    figure = table_plots.cells(FOUND, PRINTED, ylabel="mRA, closed")
    raid, rpifield = figure.axes
    assert [text.get_text() for text in raid.texts] == ["diverged"]
    assert [text.get_text() for text in rpifield.texts] == ["not run"]
    drawn = {tuple(np.round(line.get_ydata(), 3)) for line in raid.lines}
    # Point, interval and chance of fold 0, the point of fold 1, and the paper's cell of a planned backbone only.
    assert drawn == {(0.6,), (0.5, 0.7), (0.02, 0.02), (0.55,), (0.8,)}
    assert raid.get_ylabel() == "mRA, closed"


def test_over_a_setting_each_run_has_its_interval_and_the_runs_their_mean():
    figure = over_data_sets(FOUND[1:], joined=True)
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["not run"]
    points, *others = [
        list(np.round(line.get_ydata(), 4)) for line in axis.lines if np.isfinite(line.get_ydata()).any()
    ]
    assert points == [0.6, 0.55]
    # The bar at the mean, and the line that joins the means.
    assert others[0] == [0.575, 0.575]
    assert others[1][0] == 0.575 and np.isnan(others[1][1])
    intervals, chance = axis.collections[0], axis.collections[-1]
    assert np.allclose(sorted(part[:, 1].tolist() for part in intervals.get_segments()), [[0.45, 0.65], [0.5, 0.7]])
    assert np.allclose(chance.get_segments()[0][:, 1], 0.02)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["raid", "rpifield"]


def test_over_a_setting_without_any_run_says_so():
    assert "no runs are planned" in words(over_data_sets(FOUND[:0]))
    assert words(over_data_sets(FOUND[:1])).count("diverged") == 1


def test_a_forest_points_where_the_interval_lies():
    cited = pd.Series([0.12, 0.3], index=pd.MultiIndex.from_tuples([("vgg19", "raid"), ("resnet50", "raid")]))
    figure = table_plots.forest({"mRA": GAINED, "mAP": GAINED[:1]}, xlabel="ours minus theirs", printed=cited)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [", ".join(label) for label in GAINED.index]
    drawn = {line.get_marker(): line.get_xydata().tolist() for line in left.lines if line.get_marker() != "None"}
    # A gain points right, a loss left; the paper's cell of a row that is not plotted is left out.
    assert drawn == {">": [[0.1, 0]], "<": [[-0.2, 1]], "o": [[0.01, 2]], "D": [[0.12, 1]]}
    assert [(text.get_text(), text.get_position()[1]) for text in left.texts] == [("diverged", 3)]
    assert left.get_xlabel() == "ours minus theirs"
    assert sum(line.get_marker() != "None" for line in right.lines) == 1
    assert "no pairs are planned" in words(FIGURES["forest, none there"]())


def test_a_forest_without_a_difference_is_a_line_with_the_reason():
    missing = GAINED.assign(difference=np.nan, low=np.nan, high=np.nan, verdict=["not run"] * 3 + ["diverged"])
    figure = table_plots.forest({"mRA": missing}, xlabel="ours minus theirs")
    assert words(figure).strip() == "no differences of ours minus theirs: not run, diverged"
    # The paper's differences are shown, even if ours are not there.
    assert len(table_plots.forest({"mRA": missing}, xlabel="x", printed=GAINED.difference).axes[0].lines) > 1


def test_scores_are_plotted_at_their_models_cost():
    figure = table_plots.against_cost(FOUND[FOUND.fold == 0], COSTS, ylabel="mRA, closed")
    for axis, cost in zip(figure.axes, (11.0, 3.0), strict=True):
        assert [[cost, 0.6]] in [line.get_xydata().tolist() for line in axis.lines]
        assert axis.get_xlim()[0] == 0
    assert [axis.get_xlabel() for axis in figure.axes] == list(COSTS.columns)
    assert "vgg16: diverged" in words(figure)
    assert "resnet18: " not in words(figure)
    assert "no runs are planned" in words(FIGURES["against cost, none there"]())


def test_accuracies_are_drawn_over_epochs_and_over_seconds():
    figure = table_plots.accuracies(CURVES, synthetic=True)
    drawn = [[tuple(map(tuple, line.get_xydata())) for line in axis.lines[:1]] for axis in figure.axes]
    assert drawn == [
        [((1, 0.1), (2, 0.3))],
        [((9, 0.1), (15, 0.3))],
        [((1, 0.2), (2, 0.5))],
        [((9, 0.2), (15, 0.5))],
    ]
    assert "triplet without attention: not run" in words(figure)


def test_training_accuracies_have_a_line_and_a_name_for_each_method():
    figure = table_plots.training_accuracies(CURVES)
    (axis,) = figure.axes
    drawn = CURVES.dropna(subset=["epoch", "accuracy"])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(dict.fromkeys(drawn.name))
    (empty,) = table_plots.training_accuracies(CURVES[:0]).axes
    assert [text.get_text() for text in empty.texts] == ["not run"]


def test_losses_of_different_kinds_share_no_axis():
    figure = table_plots.losses(CURVES)
    entropy, _, triplet, _ = figure.axes
    assert [axis.get_ylabel() for axis in (entropy, triplet)] == ["cross-entropy", "triplet loss"]
    assert [list(line.get_ydata()) for line in entropy.lines] == [[4.0, 2.0], [3.0, 1.0]]
    assert entropy.get_ylim() != triplet.get_ylim()
    assert not triplet.lines
    assert [text.get_text() for text in triplet.texts] == ["not run"]


def test_crossings_frame_the_own_data_set_and_mark_chance():
    without, with_block = table_plots.crossings(CROSSED, measure="CMC(1)").axes
    texts = {text.get_position(): text.get_text() for text in without.texts}
    assert texts == {(0.5, 0.5): "0.600\n0.50 to 0.70", (1.5, 0.5): "0.040 \u2020\n0.00 to 0.08"}
    assert sorted(text.get_text() for text in with_block.texts) == ["0.400\n2 identities", "diverged"]
    assert [label.get_text() for label in without.get_xticklabels()] == ["raid\nchance 0.020", "rpifield\nchance 0.030"]
    assert [patch.get_x() for patch in without.patches] == [pytest.approx(0.03)]
