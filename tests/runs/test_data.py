import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from made_images import OTHERS, market_folder, real, smoke

from gaaplib import runs
from gaaplib.datasets import synthetic
from gaaplib.runs import data


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One folder for all runs of this module: the synthetic images are shared."""
    return tmp_path_factory.mktemp("outputs")


@pytest.mark.filterwarnings("ignore:.*differs from the published data set")
@pytest.mark.parametrize("name", OTHERS)
def test_data_sets_without_an_official_split_are_split_by_fold(tmp_path, name):
    write, cameras = OTHERS[name]
    write(tmp_path / "photos")
    tables = []
    for fold in range(2):
        data = runs.load_data(smoke(dataset=name, data=str(tmp_path / "photos"), fold=fold), outputs=tmp_path)
        assert len(data.store.images) == len(data.table) == 56
        assert data.table.camid[data.table.camid >= 0].nunique() == cameras
        assert set(data.table.role) == {"train", "val", "test", "query", "gallery"}
        tables.append(data.table)
    unseen = [set(table.pid[table.role == "query"]) for table in tables]
    assert not unseen[0] & unseen[1]


def test_a_data_set_that_is_not_drawn_says_so(tmp_path):
    with pytest.raises(
        ValueError, match="dataset='folder' has no synthetic twin, only market1501, .* have: give data=FOLDER"
    ):
        runs.load_data(smoke(dataset="folder"), outputs=tmp_path)


@pytest.mark.parametrize("name", synthetic.SPECS)
def test_every_twin_is_drawn_read_and_split(name, cache):
    data = runs.load_data(smoke(dataset=name), outputs=cache)
    roles = {"query", "gallery"} | ({"train", "val", "test"} if name != "partial_ilids" else set())
    assert set(data.table.role) == roles
    assert len(data.store.images) == len(data.table)
    assert not len(data.copies)
    cameras = set(data.table.camid)
    assert (cameras == {-1}) == (name in ("ilids", "partial_ilids"))


@pytest.mark.filterwarnings("ignore:Market-1501 on disk")
def test_a_twins_variant_is_drawn_and_has_the_same_people(cache):
    plain, occluded = (runs.load_data(smoke(variant=variant), outputs=cache) for variant in (None, "occluded"))
    assert not occluded.as_published
    differ = {}
    for role in ("query", "gallery"):
        one, other = plain.part(role), occluded.part(role)
        assert list(one.pid) == list(other.pid)
        pictures = plain.store.images[one.row] != occluded.store.images[other.row]
        differ[role] = pictures.any(axis=(1, 2, 3)).mean()
    # Something hides a part of some queries in the plain twin, too.
    assert differ["query"] > 0.5 and not differ["gallery"]


def test_a_query_that_is_in_the_gallery_too_is_reported(tmp_path):
    root = market_folder(tmp_path / "photos")
    image = (root / "query/0004_c1s1_000000_00.jpg").read_bytes()
    (root / "bounding_box_test/0004_c2s1_000009_00.jpg").write_bytes(image)
    with pytest.warns(UserWarning, match="1 queries in .* first query/0004_c1s1_000000_00.jpg of bounding_box_test"):
        data = runs.load_data(real(root), outputs=tmp_path)
    assert len(data.copies) == 1


@pytest.mark.filterwarnings("ignore:Market-1501 on disk")
def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        runs.load_data(real(tmp_path / "nowhere"), outputs=tmp_path)


@pytest.mark.filterwarnings("ignore:Market-1501 on disk")
def test_an_empty_split_is_named(tmp_path):
    root = market_folder(tmp_path / "photos")
    for path in (root / "query").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="query"):
        runs.load_data(real(root), outputs=tmp_path)


@pytest.mark.filterwarnings("ignore:Market-1501 on disk")
def test_a_name_that_does_not_match_is_named(tmp_path):
    root = market_folder(tmp_path / "photos")
    (root / "query/0004_c1s1_000000_00.jpg").rename(root / "query/person four.jpg")
    with pytest.raises(ValueError, match="person four.jpg"):
        runs.load_data(real(root), outputs=tmp_path)


@pytest.mark.filterwarnings("ignore:Market-1501 on disk")
def test_a_broken_image_in_a_small_data_set_is_an_error_that_names_it(tmp_path):
    root = market_folder(tmp_path / "photos")
    (root / "query/0004_c1s1_000000_00.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 of 40 images(.|\n)*query/0004_c1s1_000000_00.jpg: .*empty"):
        runs.load_data(real(root), outputs=tmp_path)


def test_the_fold_redraws_the_images_of_trained_identities_only(cache):
    one, two = (runs.load_data(smoke(fold=fold), outputs=cache).table for fold in (0, 3))
    assert set(one.pid[one.role == "query"]) == set(two.pid[two.role == "query"])
    assert set(one.path[one.role == "test"]) != set(two.path[two.role == "test"])


def test_runs_that_begin_at_once_draw_one_after_the_other(tmp_path, monkeypatch):
    drawing, most = [], []

    def write(root, spec, progress):
        drawing.append(root)
        time.sleep(0.2)
        most.append(len(drawing))
        drawing.remove(root)
        return root

    monkeypatch.setattr(synthetic, "write", write)
    with pytest.warns(UserWarning, match="is generating synthetic-raid"), ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: data._draw(smoke(dataset="raid"), tmp_path, False), range(3)))
    assert most == [1, 1, 1]
