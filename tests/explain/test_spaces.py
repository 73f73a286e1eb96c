import numpy as np
import pandas as pd
import pytest

from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA
from gaaplib.explain import spaces
from gaaplib.runs.data import load_data


def table(pids, camids):
    return pd.DataFrame({"pid": pids, "camid": camids, "row": range(len(pids)), "path": "x"})


def groups(centres, cameras, noise=0.1, seed=0):
    """Two images by each of two cameras of each person; a person and a camera have a place of their own each."""
    rng = np.random.default_rng(seed)
    pids, camids = np.repeat(np.arange(len(centres)), 4), np.tile([1, 1, 2, 2], len(centres))
    places = np.asarray(centres)[pids] + np.asarray(cameras)[camids - 1]
    return spaces.Space(places + noise * rng.normal(size=places.shape), table(pids, camids))


def slow_silhouette(space):
    """Rousseeuw's definition, image by image."""
    pids, found = space.table.pid.to_numpy(), []
    for one in range(len(pids)):
        away = [np.linalg.norm(space.embeddings[one] - other) for other in space.embeddings]
        means = {
            pid: np.mean([away[other] for other in range(len(pids)) if pids[other] == pid and other != one])
            for pid in set(pids)
        }
        a, b = means[pids[one]], min(mean for pid, mean in means.items() if pid != pids[one])
        found.append((b - a) / max(a, b))
    return np.mean(found)


def test_the_silhouette_is_its_definition_and_high_where_people_are_apart():
    apart = groups([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], [[0.0, 0.0], [0.5, 0.0]])
    mixed = groups([[0.0, 0.0]] * 3, [[0.0, 0.0], [0.5, 0.0]])
    for space in (apart, mixed):
        assert space.silhouette == pytest.approx(slow_silhouette(space))
    assert apart.silhouette > 0.8 > 0.0 > mixed.silhouette


def test_the_camera_share_is_one_where_cameras_are_apart_and_chance_where_they_do_not_matter():
    by_camera = groups(np.zeros((20, 2)), [[0.0, 0.0], [50.0, 0.0]], noise=1.0)
    assert by_camera.camera_share == 1.0
    assert by_camera.camera_share_by_chance == 0.5
    neither = groups(np.zeros((400, 2)), np.zeros((2, 2)), noise=1.0)
    assert neither.camera_share == pytest.approx(0.5, abs=0.05)
    assert list(by_camera.labels) == ["path", "pid", "camid"]
    assert by_camera.contents() == "80 images of 20 people, 2 cameras"
    assert "100%" in by_camera.sentence() and "by chance 50%" in by_camera.sentence()


def test_the_own_person_does_not_count_for_the_camera_share():
    # Each image's nearest is of the same person and camera; the nearest of the other person is of the other camera.
    space = spaces.Space(np.array([[0.0], [0.1], [1.0], [1.1]]), table([1, 1, 2, 2], [1, 1, 2, 2]))
    assert (space.camera_share, space.camera_share_by_chance) == (0.0, 0.0)


def test_an_image_among_others_is_the_first_outlier_and_has_its_neighbours():
    space = groups([[0.0, 0.0], [9.0, 0.0]], [[0.0, 0.0], [0.5, 0.0]])
    space.embeddings[1] = space.embeddings[6] + 0.01
    found = space.outliers(2)
    assert found.index[0] == 1
    assert found.loc[1, "other"] == 6
    assert space.table.pid[found.loc[1, "same"]] == 0
    assert len(found) == 2 and (found.silhouette.diff()[1:] >= 0).all()


def test_projections_keep_groups_and_are_the_same_each_time():
    space = groups([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]], [[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    found, again = space.projections(seed=3), space.projections(seed=3)
    assert list(found)[:2] == ["PCA", "t-SNE"] and list(space.projections(3, ["PCA"])) == ["PCA"]
    for name, points in found.items():
        assert points.shape == (12, 2)
        assert np.array_equal(points, again[name])
    with pytest.raises(ValueError, match="projection 'tsne' is not known; known: PCA, t-SNE, UMAP"):
        space.projections(names=["tsne"])
    # PCA is a rotation of what is almost a plane.
    assert spaces.Space(found["PCA"], space.table).silhouette == pytest.approx(space.silhouette, abs=0.05)


def test_people_are_those_of_several_cameras_at_equal_steps():
    pids = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, DISTRACTOR, DISTRACTOR, 6, 6]
    camids = [1, 2, 1, 1, 1, 2, 1, 2, 1, 2, 1, 2, 1, UNKNOWN_CAMERA]

    class Images:
        @staticmethod
        def part(role):
            # An image may be a query and in the gallery.
            return table(pids, camids) if role == "gallery" else table(pids, camids).head(3)

    assert spaces.people(Images).pid.tolist() == [1, 1, 3, 3, 4, 4, 5, 5]
    assert spaces.people(Images, 2).pid.tolist() == [1, 1, 5, 5]
    with pytest.raises(ValueError, match="1 people: a space needs at least 2"):
        spaces.people(Images, 1)
    with pytest.raises(ValueError, match="1 people have test images of several cameras"):
        spaces.people(type("Few", (), {"part": staticmethod(lambda role: table([1, 1, 2, 2], [1, 2, 1, 1]))}))


def test_without_cameras_people_are_those_of_several_images_and_there_is_no_camera_share():
    unknown = [UNKNOWN_CAMERA] * 7

    class Images:
        @staticmethod
        def part(role):
            return table([1, 1, 2, 3, 3, DISTRACTOR, DISTRACTOR], unknown)

    assert spaces.people(Images).pid.tolist() == [1, 1, 3, 3]
    with pytest.raises(ValueError, match="1 people have several test images: a space needs at least 2"):
        spaces.people(type("Few", (), {"part": staticmethod(lambda role: table([1, 1, 2], unknown[:3]))}))
    space = spaces.Space(np.array([[0.0], [1.0], [4.0], [5.0]]), table([1, 1, 2, 2], unknown[:4]))
    assert not space.has_cameras
    assert list(space.labels) == ["path", "pid"]
    assert space.contents("photographs") == "4 photographs of 2 people, cameras unknown"
    assert space.sentence() == "silhouette by identity +0.746; the cameras are unknown, so there is no camera share"


def test_a_run_has_a_space_before_and_after_training(run, cache):
    found, images = spaces.of_runs({"class": run}, 5, outputs=cache)
    assert list(found) == ["before training", "class"]
    before, after = found.values()
    assert len(images) == len(before.table) and before.table.pid.nunique() == 5
    for space in found.values():
        assert np.allclose(np.linalg.norm(space.embeddings, axis=1), 1.0)
        assert -1 <= space.silhouette <= 1 and 0 <= space.camera_share <= 1
    assert not np.allclose(before.embeddings, after.embeddings)
    data = load_data(run.config, outputs=cache)
    lengths = np.linalg.norm(spaces.of_model(run.model(), data, after.table, "euclidean").embeddings, axis=1)
    assert not np.allclose(lengths, 1.0)
