"""Maps of two smoke runs on the same people."""

import dataclasses

import numpy as np
import pytest

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


def test_its_figures_show_three_people_a_ranking_and_one_person_in_several_cameras(study, tmp_path):
    figures = study.sheet(study.received, "received"), study.ranking(0, top=3), study.across_cameras()
    for number, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5000
