"""Retrieval with the model of a run; the run is a smoke run on synthetic images."""

import shutil

import keras
import numpy as np
import pytest
from made_runs import write_model, write_run

from gaaplib import runs
from gaaplib.datasets import keypoints
from gaaplib.explain import heatmaps, lookup


def distance(one, other):
    """Cosine distance of two embeddings, computed without the library."""
    return 1 - float(np.dot(one, other)) / float(np.linalg.norm(one) * np.linalg.norm(other))


# The index


def test_the_nearest_are_those_with_the_smallest_distances(index):
    query = index.queries.embeddings[3]
    slow = np.array([distance(query, other) for other in index.gallery.embeddings])
    found = index.rank(3, top=7)
    assert np.allclose(found.distances, np.sort(slow)[:7], atol=1e-5)
    assert np.allclose(slow[found.places], found.distances, atol=1e-5)


def test_an_approximate_index_ranks_its_candidates_by_exact_distances(run, cache, index, monkeypatch):
    monkeypatch.setattr(lookup, "CANDIDATES_PER_IMAGE", 2)
    some = lookup.Index.of_run(run, outputs=cache, approximate=True)
    whole, found = index.rank(3, top=len(index.gallery.rows)), some.rank(3, top=5)
    exact = dict(zip(whole.places.tolist(), whole.distances, strict=True))
    assert np.allclose(found.distances, [exact[place] for place in found.places], atol=1e-6)
    assert list(found.distances) == sorted(found.distances)
    states = dict(zip(whole.places.tolist(), whole.states, strict=True))
    assert found.states == [states[place] for place in found.places]
    hits = [len(set(some.rank(q, 5).places) & set(index.rank(q, 5).places)) for q in range(len(index.queries.rows))]
    # What the recall counts: candidates, of which the nearest five are shown.
    assert some.recall(top=5) == pytest.approx(sum(hits) / (5 * len(hits)))


def test_a_photograph_is_left_out_of_its_own_candidates(run, photos, cache, album):
    some = lookup.Index.of_folder(run, photos, outputs=cache, approximate=True)
    for photograph in range(len(album.queries.rows)):
        assert photograph not in some.rank(photograph).places
    assert 0 < some.recall() <= 1


def test_a_method_that_compares_parts_ranks_by_them(photos, tmp_path):
    run = write_model(tmp_path, method="vpm", height=96)
    album = lookup.Index.of_folder(run, photos, outputs=tmp_path)
    outputs = album.gallery.outputs
    shared = outputs["visibility"] @ outputs["visibility"].T
    slow = 1 - outputs["embedding"] @ outputs["embedding"].T / shared
    found = album.rank(1, top=3)
    others = np.delete(np.arange(len(slow)), 1)
    assert found.places.tolist() == others[np.argsort(slow[1][others], kind="stable")][:3].tolist()
    assert np.allclose(found.distances, slow[1][found.places], atol=1e-5)
    with pytest.raises(ValueError, match="method='vpm' does not compare embeddings alone"):
        lookup.Index.of_folder(run, photos, outputs=tmp_path, approximate=True)


def test_a_method_that_sees_key_points_ranks_and_shows_maps_by_them(photos, tmp_path):
    run = write_model(tmp_path, method="pgfa", height=96)
    with pytest.raises(FileNotFoundError, match="keypoints.npz is missing: this method needs"):
        lookup.Index.of_folder(run, photos, outputs=tmp_path)
    paths = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.*") if path.suffix in (".jpg", ".png"))
    points = np.random.default_rng(0).random((len(paths), 17, 3)) * [20, 40, 1]
    keypoints.write(photos, paths, points)
    try:
        album = lookup.Index.of_folder(run, photos, outputs=tmp_path)
        assert album.rank(1, top=3).places.size == 3
        sheet = lookup.ranking_sheet(album, 1, "gradcam_match", top=3)
        assert len(sheet.axes) == 2
        with pytest.raises(ValueError, match="sees keypoints beside each image"):
            album.rank(album.queries.pixels(0))
    finally:
        (photos / keypoints.FILE).unlink()


def test_states_are_match_wrong_or_same_camera(index):
    place = 3
    found = index.rank(place, top=len(index.gallery.rows))
    for where, state in zip(found.places, found.states, strict=True):
        same = index.gallery.pids[where] == index.queries.pids[place]
        own_camera = index.gallery.camids[where] == index.queries.camids[place]
        assert state == ("wrong" if not same else "same camera" if own_camera else "match")
    assert set(found.states) == {"match", "wrong", "same camera"}


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
        lookup.Index.of_run(other, outputs=cache)


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


def test_a_model_that_would_run_code_is_not_loaded(tmp_path, photos):
    run = write_run(tmp_path, [0.25, 0.75])
    images = keras.Input((64, 32, 3), dtype="uint8")
    harmful = keras.layers.Lambda(lambda x: keras.ops.cast(x[:, 0, 0], "float32"))(images)
    keras.Model(images, {"embedding": harmful}).save(run.folder / "model.keras")
    with pytest.raises(ValueError, match="(?i)lambda"):
        lookup.Index.of_folder(run, photos, outputs=tmp_path)


# Figures


def test_the_sheet_shows_what_the_ranking_says(index):
    found = index.rank(3, top=4)
    figure = lookup.ranking_sheet(index, 3, "gradcam_match", layer="stage3", top=4)
    labels = [text.get_text() for text in figure.axes[0].texts[1:]]
    assert [label.split("\n")[1] for label in labels] == [f"{value:.3f}" for value in found.distances]
    assert "stage3 of the backbone" in figure.get_suptitle() and "synthetic" in figure.get_supxlabel()
    images = np.stack([index.queries.pixels(3), *index.gallery.pixels(found.places)])
    others = images[[1, 0, 0, 0, 0]]
    maps = heatmaps.heatmap(index.model, images, "gradcam_match", others=others, layer="stage3")
    # After the photographs, the grey image and the map of each.
    for drawn, heat in zip(figure.axes[0].images[6::2], maps, strict=True):
        assert np.allclose(drawn.get_array(), heat, atol=1e-5)


def test_a_sheet_without_maps_has_images_only(album):
    figure = lookup.ranking_sheet(album, 0)
    assert len(figure.axes) == 1 and len(figure.axes[0].images) == 5 and figure.get_suptitle() == ""


def test_who_an_image_from_elsewhere_is_is_not_known_and_the_sheet_says_so(album):
    figure = lookup.ranking_sheet(album, album.queries.pixels(0), name="mine")
    assert figure.get_suptitle() == "mine\nno frames: the identity of the query is unknown"
    assert not any("✓" in text.get_text() or "✗" in text.get_text() for text in figure.axes[0].texts)
    assert "no frames" not in lookup.ranking_sheet(album, 0).get_suptitle()


def test_a_flat_map_is_left_out_and_the_title_says_why(photos, tmp_path):
    album = lookup.Index.of_folder(write_model(tmp_path, attention="none"), photos, outputs=tmp_path)
    figure = lookup.ranking_sheet(album, 0, "received", name="mine")
    assert len(figure.axes) == 1 and len(figure.axes[0].images) == 5
    assert figure.get_suptitle() == "mine: no map of kind received: this network has no attention block"
    # The photographs, and the grey image and the map of each.
    assert len(lookup.ranking_sheet(album, 0, "energy").axes[0].images) == 15
    figure = lookup.pair_sheet(album, album.queries.pixels(0), album.queries.pixels(1))
    assert [axis.get_title() for axis in figure.axes[:2]] == ["image", "gradcam_match"]


def test_two_images_are_shown_with_what_makes_them_similar(index):
    figure = lookup.pair_sheet(index, index.queries.pixels(0), index.gallery.pixels(1))
    assert [axis.get_title() for axis in figure.axes[:3]] == ["image", "received", "gradcam_match"]
