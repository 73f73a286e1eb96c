"""From a run to measured maps: the right images, matches and masks, the baselines, and curves with known ends."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
from made_images import market_folder, real, smoke

from gaaplib import experiment, runs
from gaaplib.datasets import raid, synthetic
from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.explain import heatmaps, localisation, run_maps
from gaaplib.training import fit


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(outputs):
    """A finished run that was not trained: it has its initial weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "fit", lambda *_, **__: pd.DataFrame({"epoch": []}))
        return experiment.run(smoke(last_stride=1), outputs=outputs)


@pytest.fixture(scope="module")
def data(run, outputs):
    return runs.load_data(run.config, outputs=outputs)


@pytest.fixture(scope="module")
def model(run):
    return run.model()


@pytest.fixture(scope="module")
def people(run, data):
    return run_maps.sample(run, data)


def embedded(model, images):
    found = np.asarray(model.predict_on_batch(images)["embedding"])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_a_sample_has_each_querys_nearest_true_match_by_another_camera(people, data, model):
    gallery = data.part("gallery")
    cosines = embedded(model, people.images) @ embedded(model, data.store.images[gallery.row]).T
    assert len(people.table) == len(data.part("query"))
    for place, query in enumerate(people.table.itertuples()):
        fits = [
            (cosines[place, number], other.row)
            for number, other in enumerate(gallery.itertuples())
            if other.pid == query.pid and other.camid != query.camid
        ]
        np.testing.assert_array_equal(people.images[place], data.store.images[query.row])
        np.testing.assert_array_equal(people.matches[place], data.store.images[max(fits)[1]])


def test_the_nearest_are_sorted_and_without_junk(people, data):
    junk = people.states == "same camera"
    place = int(junk.any(axis=1).argmax())
    assert junk[place].any()
    rows, states, distances = people.nearest(place, 10_000)
    assert len(rows) == (~junk[place]).sum()
    assert (np.diff(distances) >= 0).all()
    assert set(states) == {"match", "wrong"}
    pids = data.table.set_index("row").pid[rows].to_numpy()
    np.testing.assert_array_equal(states == "match", pids == people.table.pid.iloc[place])
    assert len(people.nearest(place, 3)[0]) == 3


def test_a_smaller_sample_is_spread_over_the_queries(run, data, people):
    few = run_maps.sample(run, data, 3)
    rows = people.table.row.to_numpy()
    assert few.table.row.tolist() == [rows[0], rows[round((len(rows) - 1) / 2)], rows[-1]]
    assert list(few.table.ap) == [people.table.set_index("row").ap[row] for row in few.table.row]
    assert len(few.masks) == 3


def test_queries_of_whom_nothing_is_seen_are_left_out(run, data, people, monkeypatch):
    def hide_the_first(config, data, table):
        masks = people.masks.copy()
        masks[0] = False
        return masks

    monkeypatch.setattr(run_maps, "masks_of", hide_the_first)
    found = run_maps.sample(run, data)
    assert found.table.row.tolist() == people.table.row.tolist()[1:]
    np.testing.assert_array_equal(found.masks, people.masks[1:])


def test_masks_have_the_size_of_the_store_and_the_places_of_the_persons(people, data, run):
    drawn = np.stack([synthetic.mask(data.root, path) for path in people.table.path])
    # The twin is generated at 128 x 64 and the smoke profile stores half of that, so a pixel is a block of 2 x 2.
    shares = drawn.reshape(len(drawn), 64, 2, 32, 2).mean(axis=(2, 4))
    assert people.masks.dtype == bool
    np.testing.assert_array_equal(people.masks[shares > 0.5], True)
    np.testing.assert_array_equal(people.masks[shares < 0.5], False)


def test_masks_within_raids_file_are_found(outputs):
    config = smoke(dataset="raid", height=128, width=64)
    data = runs.load_data(config, outputs=outputs)
    table = data.part("query")[:2]
    expected = np.stack([raid.mask(data.root, path) for path in table.path])
    np.testing.assert_array_equal(run_maps.masks_of(config, data, table), expected)
    photographs = smoke(dataset="raid", height=128, width=64, data=str(data.root))
    np.testing.assert_array_equal(run_maps.masks_of(photographs, data, table), expected)


def test_photographs_without_masks_have_none(tmp_path):
    config = real(market_folder(tmp_path / "market"))
    data = runs.load_data(config, outputs=tmp_path)
    assert run_maps.masks_of(config, data, data.part("query")) is None


def test_the_same_person_before_the_most_cameras(run, data, model):
    table, distances = run_maps.across_cameras(run, data)
    queries, tested = data.part("query"), data.table[data.table.role.isin(["query", "gallery"])]
    cameras = tested[tested.pid.isin(queries.pid)].groupby("pid").camid.nunique()
    assert len(set(table.pid)) == 1
    assert sorted(table.camid) == sorted(set(table.camid))
    assert len(table) == cameras.max()
    vectors = embedded(model, data.store.images[table.row])
    np.testing.assert_allclose(distances, 1 - vectors @ vectors[0], atol=1e-5)
    assert (np.diff(distances) >= 0).all()


def test_without_cameras_it_is_the_person_with_the_most_images(run, data, monkeypatch):
    unknown = dataclasses.replace(data, table=data.table.assign(camid=UNKNOWN_CAMERA))
    tested = data.table[data.table.role.isin(["query", "gallery"]) & data.table.pid.isin(data.part("query").pid)]
    most = tested.pid.value_counts().max()
    for at_most in (2, 100):
        monkeypatch.setattr(run_maps, "WITHOUT_CAMERAS", at_most)
        table, distances = run_maps.across_cameras(run, unknown)
        assert len(set(table.pid)) == 1 and len(distances) == len(set(table.path)) == min(most, at_most)


def test_untrained_is_how_the_run_began(run, model):
    found = run_maps.untrained(run.config, model)
    for one, other in zip(found.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_baselines_are_on_the_grid_and_know_the_training_images_only(run, model, data, people):
    found = run_maps.baselines(run.config, model, data, people.images)
    assert tuple(found) == localisation.BASELINES
    for name, heat in found.items():
        assert heat.shape == (len(people.images), 4, 2), name
        np.testing.assert_allclose(heat.sum(axis=(1, 2)), 1, rtol=1e-5)
    masks = run_maps.masks_of(run.config, data, data.part("train"))
    mean = masks.mean(axis=0).reshape(4, 16, 2, 16).mean(axis=(1, 3))
    np.testing.assert_allclose(found["mean mask"][0], mean / mean.sum(), rtol=1e-4)
    np.testing.assert_allclose(found["untrained"], heatmaps.heatmap(model, people.images), atol=1e-6)


def test_every_kind_without_a_position_is_there(model, people):
    assert set(run_maps.KINDS) == set(heatmaps.KINDS) - {"rollout"}
    found = run_maps.maps_of(model, people.images[:2], people.matches[:2])
    for kind, name in run_maps.KINDS.items():
        expected = heatmaps.heatmap(model, people.images[:2], kind, others=people.matches[:2])
        np.testing.assert_array_equal(found[name], expected)


def test_a_map_is_measured_as_its_cells():
    # Two cells. The person is in the left half of the right cell, which holds the whole map.
    masks = np.zeros((1, 4, 8), bool)
    masks[:, :, 4:6] = True
    found = run_maps.measured({"right": np.array([[[0.0, 1.0]]])}, masks)["right"]
    assert {name: values.item() for name, values in found.items()} == pytest.approx(
        {"share on person": 0.5, "pointing game": 0.5, "IoU at 0.5": 0.5}
    )
    smooth = run_maps.measured({"right": np.array([[[0.0, 1.0]]])}, masks, interpolation="bilinear")["right"]
    # The maximum is the outer half of the cell, beside the person.
    assert smooth["pointing game"] == 0


def test_the_words_beside_the_centre_prior():
    rng = np.random.default_rng(0)
    masks = np.zeros((20, 64, 32), bool)
    masks[:, 16:32, :16] = True
    there, elsewhere = np.zeros((2, 20, 4, 2))
    there[:, 1, 0] = elsewhere[:, 3, 1] = 1
    words = run_maps.against_the_centre({"there": there, "elsewhere": elsewhere}, masks, rng.permutation(20) // 2)
    assert words.loc["there", "pointing game"] == "1.000 [1.000, 1.000], gain"
    assert words.loc["elsewhere", "share on person"] == "0.000 [0.000, 0.000], loss"


def test_curves_begin_or_end_with_the_whole_image(model, people):
    images, matches = people.images[:3], people.matches[:3]
    maps = {"uniform": localisation.uniform(3, 4, 2), "centre prior": localisation.centre_prior(3, 4, 2)}
    found = run_maps.deletion_insertion(model, images, matches, maps)
    whole = (embedded(model, images) * embedded(model, matches)).sum(axis=1)
    for deletion, insertion in found.values():
        assert deletion.shape == insertion.shape == (3, 9)
        np.testing.assert_allclose(deletion[:, 0], whole, atol=1e-5)
        np.testing.assert_allclose(insertion[:, -1], whole, atol=1e-5)
        np.testing.assert_allclose(deletion[:, -1], insertion[:, 0], atol=1e-5)
    in_reading_order = np.tile(np.arange(8, 0, -1) / 36, (3, 1)).reshape(3, 4, 2)
    ordered = run_maps.deletion_insertion(model, images, matches, {"map": in_reading_order})["map"]
    assert not np.allclose(found["uniform"][0], ordered[0], atol=1e-4)
    again = run_maps.deletion_insertion(model, images, matches, {"uniform": maps["uniform"]}, seed=1)["uniform"]
    assert not np.allclose(found["uniform"][0], again[0], atol=1e-4)


def test_many_cells_are_taken_in_few_steps(model, people):
    maps = {"centre prior": localisation.centre_prior(2, 6, 3)}
    found = run_maps.deletion_insertion(model, people.images[:2], people.matches[:2], maps)
    assert found["centre prior"][0].shape == (2, 7)


def test_a_caption_says_whether_maps_depend_on_the_image():
    left, right = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    words = run_maps.caption({"same": np.stack([left, left]), "moves": np.stack([left, right])}).splitlines()
    assert words[0] == (
        "same: 1 x 2 cells; peak cell 100% of a map (uniform: 50%); "
        "on average 0% of a map differs from the mean of all 2"
    )
    assert words[1].endswith("on average 50% of a map differs from the mean of all 2")


@pytest.fixture(autouse=True, scope="module")
def _policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)
