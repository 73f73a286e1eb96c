"""A smoke run on synthetic images and a folder of photographs, for the tests of this folder."""

import matplotlib.pyplot as plt
import pytest
from made_images import write_photos

from gaaplib import experiment
from gaaplib.config import RunConfig
from gaaplib.explain import lookup


@pytest.fixture(autouse=True, scope="module")
def _quick(without_graphs):
    """Maps and indices are of a few images."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(cache):
    return experiment.run(RunConfig("smoke", last_stride=1), outputs=cache)


@pytest.fixture(scope="module")
def index(run, cache):
    return lookup.Index.of_run(run, outputs=cache)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def album(run, photos, cache):
    return lookup.Index.of_folder(run, photos, outputs=cache)


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")
