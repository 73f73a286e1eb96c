"""Maps of two smoke runs on the same people."""

import dataclasses

import numpy as np
import pytest

from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.explain import map_study
from gaaplib.explain.localisation import BASELINES


@pytest.fixture(scope="module")
def study(run, plain, cache):
    return map_study.study({"class": run, "none": plain}, count=12, outputs=cache)


def test_the_maps_of_all_runs_are_of_the_same_people(study, run):
    assert study.main is run and len(study.people.images) == len(study.pids) == 12
    assert {name: maps.shape for name, maps in study.received.items()} == dict.fromkeys(("class", "none"), (12, 4, 2))
    # Without attention, every position receives the same.
    assert np.ptp(study.received["none"]) < 1e-6 < np.ptp(study.received["class"])
    assert set(study.measured) == {*study.kinds, *BASELINES}


def test_the_sentence_has_a_verdict_for_each_measure(study):
    verdicts = study.verdicts()
    measures = list(study.measured["received"])
    assert [(one.measure, one.baseline) for one in verdicts] == [(m, b) for m in measures for b in study.baselines]
    words = study.sentence()
    assert words.startswith("synthetic-market1501 (synthetic images), resnet18, profile smoke")
    assert all(f" in {measure}" in words for measure in measures)
    without = dataclasses.replace(study, measured={})
    assert without.verdicts() == [] and "not measured, no masks" in without.sentence()


def test_unknown_cameras_are_in_no_label_and_no_title(study):
    unknown = {"camid": UNKNOWN_CAMERA}
    people = dataclasses.replace(study.people, table=study.people.table.assign(**unknown))
    data = dataclasses.replace(study.data, table=study.data.table.assign(**unknown))
    data.table.attrs["persons"] = {int(study.pids[0]): "anna"}
    blind = dataclasses.replace(study, people=people, data=data)
    labels = [axis.get_ylabel() for axis in blind.sheet(blind.received, "received").axes if axis.get_ylabel()]
    assert labels[0] == "anna" and not any("camera" in label for label in labels)
    labels = [axis.get_ylabel() for axis in study.sheet(study.received, "received").axes if axis.get_ylabel()]
    assert ", camera " in labels[0]
    assert blind.across_cameras().get_suptitle() == "one person in 6 images: attention received"
    assert study.across_cameras().get_suptitle().startswith("one person in cameras ")


def test_its_figures_show_three_people_a_ranking_and_one_person_in_several_cameras(study, tmp_path):
    figures = study.sheet(study.received, "received"), study.ranking(0, top=3), study.across_cameras()
    for number, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5000
