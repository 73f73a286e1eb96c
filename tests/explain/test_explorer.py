"""Looking things up with a run's model, as functions and by widgets; the run is a smoke run on drawn images."""

import io
import shutil

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_images import write_photos
from made_runs import finish, write_model, write_run
from PIL import Image

from gaaplib import experiment, runs
from gaaplib.config import RunConfig
from gaaplib.explain import explorer, heatmaps


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(cache):
    return experiment.run(RunConfig("smoke", last_stride=1), outputs=cache)


@pytest.fixture(scope="module")
def index(run, cache):
    return explorer.Index.of_run(run, outputs=cache)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def album(run, photos, cache):
    return explorer.Index.of_folder(run, photos, outputs=cache)


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")


def distance(one, other):
    """Cosine distance of two embeddings, slowly."""
    return 1 - float(np.dot(one, other)) / float(np.linalg.norm(one) * np.linalg.norm(other))


# The index


def test_the_nearest_are_those_with_the_smallest_distances(index):
    query = index.queries.embeddings[3]
    slow = np.array([distance(query, other) for other in index.gallery.embeddings])
    found = index.rank(3, top=7)
    assert np.allclose(found.distances, np.sort(slow)[:7], atol=1e-5)
    assert np.allclose(slow[found.places], found.distances, atol=1e-5)


def test_states_are_match_wrong_or_junk(index):
    place = 3
    found = index.rank(place, top=len(index.gallery.rows))
    for where, state in zip(found.places, found.states, strict=True):
        same = index.gallery.pids[where] == index.queries.pids[place]
        own_camera = index.gallery.camids[where] == index.queries.camids[place]
        assert state == ("wrong" if not same else "junk" if own_camera else "match")
    assert set(found.states) == {"match", "wrong", "junk"}


def test_an_image_of_nobody_known_has_the_same_neighbours_and_no_states(index):
    found = index.rank(index.queries.pixels(3), top=5)
    assert np.allclose(found.distances, index.rank(3, top=5).distances, atol=1e-5)
    assert found.states == [None] * 5


def test_queries_are_offered_from_the_best_to_the_worst(index, run):
    assert list(index.ap[index.order]) == sorted(run.per_query["ap"], reverse=True)


def test_images_that_are_not_those_of_the_run_are_refused(run, cache, tmp_path):
    other = runs.Run(tmp_path / run.folder.name)
    shutil.copytree(run.folder, other.folder)
    scores = run.per_query
    np.savez(other.folder / "per_query.npz", **{**scores, "pid": scores["pid"][::-1]})
    with pytest.raises(ValueError, match="scored on other images.*repeat the run"):
        explorer.Index.of_run(other, outputs=cache)


# The same person?


@pytest.mark.parametrize("far", [0.001, 0.05, 0.5])
def test_the_threshold_keeps_the_rate_of_false_acceptance(index, far):
    decision = index.same_person(index.queries.pixels(0), index.gallery.pixels(5), far)
    impostors = [
        distance(query, other)
        for query, pid in zip(index.queries.embeddings, index.queries.pids, strict=True)
        for other, other_pid in zip(index.gallery.embeddings, index.gallery.pids, strict=True)
        if pid != other_pid
    ]
    assert decision.num_impostor == len(impostors)
    assert np.mean(np.array(impostors) <= decision.point.threshold - 1e-6) <= far
    assert decision.distance == pytest.approx(
        distance(index.queries.embeddings[0], index.gallery.embeddings[5]), abs=1e-4
    )
    assert decision.same == (decision.distance <= decision.point.threshold)


def test_an_image_is_the_same_as_itself_and_the_sentence_says_what_it_rests_on(index):
    decision = index.same_person(index.queries.pixels(0), index.queries.pixels(0), far=0.1)
    assert decision.same
    words = str(decision)
    assert words.startswith("The same person? Yes: their distance of ")
    assert f"{decision.num_impostor:,} pairs of different people" in words
    farther = decision._replace(distance=decision.point.threshold + 0.01)
    assert str(farther).startswith("The same person? No")


def test_photographs_give_no_threshold(album):
    with pytest.raises(ValueError, match="Index.of_run"):
        album.same_person(album.queries.pixels(0), album.queries.pixels(1))


# Photographs


def test_photographs_of_persons_have_states_and_leave_the_query_out(album):
    assert album.queries.names == ["anna/1.jpg", "anna/2.png", "ben/1.jpg", "ben/2.jpg", "cleo/1.jpg"]
    assert album.queries.pixels(0).shape == (64, 32, 3)
    found = album.rank(0)
    assert sorted(found.places) == [1, 2, 3, 4]
    assert dict(zip(found.places, found.states, strict=True)) == {1: "match", 2: "wrong", 3: "wrong", 4: "wrong"}
    assert not album.is_synthetic


@pytest.mark.parametrize("names", [("a.jpg", "b.jpg"), ("a.jpg", "trip/b.jpg"), ("2025/may/a.jpg", "2026/b.jpg")])
def test_other_folders_have_images_of_persons_unknown(tmp_path, names):
    records = explorer.photographs(write_photos(tmp_path, names))
    assert records.path.tolist() == sorted(names)
    assert (records.pid == 0).all()


def test_a_folder_says_what_is_wrong_with_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="no photographs in .*nowhere"):
        explorer.photographs(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="has no images .found there: notes.txt"):
        explorer.photographs(tmp_path)
    (tmp_path / "records.csv").write_text("path,person\n")
    with pytest.raises(ValueError, match="no column pid"):
        explorer.photographs(tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    write_photos(tmp_path / "private", ("secret.jpg",))
    folder = write_photos(tmp_path / "album", ("a.jpg",))
    (folder / "b.jpg").symlink_to(tmp_path / "private" / "secret.jpg")
    with pytest.raises(ValueError, match="symbolic link to .*outside of"):
        explorer.photographs(folder)


# Runs


def test_a_run_is_found_by_its_folder_its_name_or_a_part_of_it(tmp_path):
    one, two = write_model(tmp_path, method="histogram"), write_model(tmp_path)
    for name in (str(two.folder), two.folder.name, two.folder.name[-8:]):
        assert explorer.find_run(name, tmp_path).folder.name == two.folder.name
    assert [run.folder.name for run in explorer.with_models(tmp_path)] == [two.folder.name]
    for name, words in (("synthetic", "more than one run 'synthetic'"), ("resnet999", "no run 'resnet999'")):
        with pytest.raises(ValueError, match=words) as caught:
            explorer.find_run(name, tmp_path)
        assert one.folder.name in str(caught.value) and two.folder.name in str(caught.value)


def test_a_run_without_a_model_that_says_something_is_refused(tmp_path):
    run = write_run(tmp_path, [0.25, 0.75])
    with pytest.raises(FileNotFoundError, match="no model.keras .committed reference runs.*gaap run 02_train"):
        explorer.find_run(run.folder.name, tmp_path)
    (run.folder / "model.keras").touch()
    finish(run, status="diverged", reason="loss is nan in epoch 1", retrieval=None)
    with pytest.raises(ValueError, match="diverged .loss is nan in epoch 1"):
        explorer.find_run(run.folder.name, tmp_path)


def test_a_model_that_would_run_code_is_not_loaded(tmp_path, photos):
    run = write_run(tmp_path, [0.25, 0.75])
    images = keras.Input((64, 32, 3), dtype="uint8")
    harmful = keras.layers.Lambda(lambda x: keras.ops.cast(x[:, 0, 0], "float32"))(images)
    keras.Model(images, {"embedding": harmful}).save(run.folder / "model.keras")
    with pytest.raises(ValueError, match="(?i)lambda"):
        explorer.Index.of_folder(run, photos, outputs=tmp_path)


# Figures


def test_the_sheet_shows_what_the_ranking_says(index):
    found = index.rank(3, top=4)
    figure = explorer.ranking_sheet(index, 3, "gradcam_match", layer="stage3", top=4)
    titles = [axis.get_title() for axis in figure.axes[1:5]]
    assert [title.split("\n")[1] for title in titles] == [f"{value:.3f}" for value in found.distances]
    assert "stage3 of the backbone" in figure.get_suptitle() and "synthetic" in figure.get_suptitle()
    images = np.stack([index.queries.pixels(3), *index.gallery.pixels(found.places)])
    others = images[[1, 0, 0, 0, 0]]
    maps = heatmaps.heatmap(index.model, images, "gradcam_match", others=others, layer="stage3")
    for axis, heat in zip(figure.axes[5:10], maps, strict=True):
        assert np.allclose(axis.images[1].get_array(), heat, atol=1e-5)


def test_a_sheet_without_maps_has_images_only(album):
    figure = explorer.ranking_sheet(album, 0)
    assert len(figure.axes) == 5 and figure.get_suptitle() == ""


def test_two_images_are_shown_with_what_makes_them_similar(index):
    figure = explorer.pair_sheet(index, index.queries.pixels(0), index.gallery.pixels(1))
    assert [axis.get_title() for axis in figure.axes[:3]] == ["image", "received", "gradcam_match"]


# The widgets


@pytest.fixture
def shown(run, cache):
    return explorer._Explorer([run], None, cache)


def size(picture):
    return Image.open(io.BytesIO(picture)).size


def test_the_first_view_is_the_middle_query_and_each_widget_changes_it(shown, index):
    assert isinstance(explorer.explorer(shown.run.value, outputs=shown.run.value.folder.parents[1]), type(shown.box))
    assert shown.query.value == index.order[len(index.order) // 2]
    assert size(shown.image.value) == (32, 64)
    views = [shown.sheet.value]
    for change in (
        lambda: setattr(shown.query, "value", int(index.order[0])),
        lambda: setattr(shown.kind, "value", "energy"),
        lambda: setattr(shown.layer, "value", "stage1"),
        lambda: shown.cells.children[0].click(),
        lambda: shown.cells.children[-1].click(),
    ):
        change()
        views.append(shown.sheet.value)
    assert len(set(views)) == len(views)
    assert not plt.get_fignums()


def test_a_click_asks_where_that_position_attends(shown):
    assert [cell.position for cell in shown.cells.children] == [(row, column) for row in range(4) for column in (0, 1)]
    shown.kind.value = "energy"
    assert not shown.layer.disabled
    shown.cells.children[3].click()
    assert shown.kind.value == "rollout" and shown.layer.disabled
    assert ["3px" in cell.layout.border_top for cell in shown.cells.children] == [False] * 3 + [True] + [False] * 4
    assert shown.cells.children[3].tooltip == "row 2 of 4, column 2 of 2"


def test_names_of_files_are_escaped(run, cache, tmp_path):
    write_photos(tmp_path, ("a<b>$x$&.jpg", "c.jpg", "<script>.jpg"))
    shown = explorer._Explorer([run], tmp_path, cache)
    assert "&lt;script&gt;" in shown.words.value and "a&lt;b&gt;$x$&amp;.jpg" in shown.words.value
    assert "<script>" not in shown.words.value


def test_what_is_wrong_is_shown_in_place_of_an_answer(run, cache, tmp_path):
    write_photos(tmp_path, ("a.jpg",))
    (tmp_path / "<b>.jpg").write_bytes(b"no image")
    shown = explorer._Explorer([run], tmp_path, cache)
    assert "1 of 2 images cannot be decoded" in shown.words.value and "&lt;b&gt;.jpg" in shown.words.value
    shown.kind.value = "energy"
    assert not shown.sheet.value
