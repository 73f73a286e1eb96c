import numpy as np
import pytest
from made_runs import write_run

from gaaplib import experiment
from gaaplib.config import RunConfig
from gaaplib.explain import side_by_side


@pytest.fixture(scope="module")
def found(run, plain, cache):
    histogram = experiment.run(RunConfig("smoke", last_stride=1, method="histogram"), outputs=cache)
    return side_by_side.indices({"class": run, "none": plain, "histogram": histogram}, outputs=cache)


def test_each_run_with_a_model_has_an_index(found, tmp_path):
    indices, without = found
    assert list(indices) == ["class", "none", "histogram"] and without == []
    bare = write_run(tmp_path, np.ones(4))
    assert side_by_side.indices({"bare": bare}) == (
        {},
        [f"no pictures of bare: there is no model in {bare.folder.name}"],
    )


def test_each_ranking_is_named_by_its_run(found):
    figures = side_by_side.rankings(found[0], 0, "energy", top=3, ap={"class": 0.5})
    titles = [figure.texts[0].get_text() for figure in figures]
    assert [title.split(":")[0] for title in titles] == ["class, AP 0.50", "none", "histogram"]
    assert {figure.get_supxlabel() for figure in figures} == {"synthetic data"}
    # Below the images of a run with maps there are the grey images and the maps.
    assert [len(figure.axes[0].images) for figure in figures] == [12, 12, 4]


def test_the_heat_maps_of_all_runs_stand_in_one_row(found):
    figure = side_by_side.heat_maps(found[0], np.array([0, 1]), "gradcam_match")
    assert [axis.get_title() for axis in figure.axes[:3]] == ["image", "class", "none"]
    assert side_by_side.heat_maps({"histogram": found[0]["histogram"]}, np.array([0]), "energy") is None


def test_a_run_whose_map_is_flat_is_left_out_and_named(found):
    figure = side_by_side.heat_maps(found[0], np.array([0]), "received")
    assert [axis.get_title() for axis in figure.axes[:2]] == ["image", "class"]
    assert " ".join(figure.get_suptitle().split()) == "received left out of none: this network has no attention block"
    assert side_by_side.heat_maps({"none": found[0]["none"]}, np.array([0]), "received") is None


def test_a_match_is_compared_with_the_nearest_image_of_the_person(found):
    index = found[0]["class"]
    (other,) = side_by_side._others(index, np.array([0]))
    ranking = index.rank(0, top=len(index.gallery.rows))
    first = ranking.places[ranking.states.index("match")]
    np.testing.assert_array_equal(other, index.gallery.pixels(first))
