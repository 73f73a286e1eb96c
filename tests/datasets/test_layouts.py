"""The twins of all data sets: their own parsers read them, and at full size they have the published numbers."""

import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gaaplib.datasets import DATASETS, raid, rpifield
from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.datasets.splits import protocol_split
from gaaplib.datasets.synthetic import SPECS, draw, generate, layouts, mask, num_images, plan, spec_for, write
from gaaplib.datasets.synthetic.pedestrians import JOINTS, Drawing

SCALE = 1e-4
DRAWN = {}


@pytest.fixture(params=SPECS)
def name(request) -> str:
    return request.param


def drawn(name, tmp_path_factory) -> Path:
    """The root of a small twin, drawn once."""
    if name not in DRAWN:
        DRAWN[name] = write(tmp_path_factory.mktemp(name) / "twin", spec_for(name, SCALE), progress=False)
    return DRAWN[name]


@pytest.fixture
def root(name, tmp_path_factory) -> Path:
    return drawn(name, tmp_path_factory)


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> Path:
    """All twins once more, drawn by another process."""
    folder = tmp_path_factory.mktemp("again")
    code = (
        "import sys; from gaaplib.datasets.synthetic import *\n"
        f"for name in SPECS: write(f'{{sys.argv[1]}}/{{name}}', spec_for(name, {SCALE}), progress=False)"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True, cwd=Path(__file__).parents[2])
    return folder


def records_of(name, root, **expected) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return DATASETS[name].read(root, **expected)


def contents(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


# -- each twin ---------------------------------------------------------------------------------------------------------


def test_parser_finds_what_is_planned(name, root):
    found = records_of(name, root, expected=None)
    items = [item for item in plan(spec_for(name, SCALE), 0) if item.pid >= 0]
    assert found["path"].tolist() == [item.path for item in items]
    assert found["pid"].tolist() == [item.pid if item.pid < 10_000 else 0 for item in items]
    if name not in ("ilids", "partial_ilids"):
        assert found["camid"].tolist() == [item.camid for item in items]
        assert found["camid"].nunique() == SPECS[name]["cameras"]


def test_all_has_the_same_bytes_in_another_process(name, root, again):
    assert contents(again / name) == contents(root)


def test_interrupted_write_resumes_to_the_same_bytes(name, root, tmp_path, monkeypatch):
    spec, finished, calls = spec_for(name, SCALE), 25, []

    def dies(*args):
        if len(calls) == finished:
            raise KeyboardInterrupt
        calls.append(args)
        return draw(*args)

    monkeypatch.setattr(generate, "draw", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "twin", spec, progress=False)
    assert not (tmp_path / "twin" / "synthetic.json").exists()
    calls.clear()
    monkeypatch.setattr(generate, "draw", lambda *args: calls.append(args) or draw(*args))
    write(tmp_path / "twin", spec, progress=False)
    assert contents(tmp_path / "twin") == contents(root)
    kept = 0 if name == "raid" else finished
    assert len(calls) == num_images(name, SCALE) - kept


def test_masks_fit_the_images_and_show_somebody(name, root):
    found = records_of(name, root, expected=None)
    images = list(raid.images(root, found["path"])) if name == "raid" else [Image.open(root / p) for p in found["path"]]
    masks = [mask(root, path) for path in found["path"]]
    assert [(*image.size[::-1], image.mode) for image in images] == [(*seen.shape, "RGB") for seen in masks]
    shown = np.array([seen.mean() > 0.1 for seen in masks])
    assert shown[found["pid"] > 0].mean() > 0.95
    assert np.mean([np.asarray(image).mean() for image in images]) > 60, "too dark"


def test_what_is_stored_is_what_is_drawn(name, root):
    spec = spec_for(name, SCALE)
    items = [item for item in plan(spec, 0) if item.pid > 0]
    for item in items[:: len(items) // 3]:
        drawing = draw(spec, 0, *item[1:])
        np.testing.assert_array_equal(mask(root, item.path), drawing.mask)
        image = np.asarray(raid.image(root, item.path) if name == "raid" else Image.open(root / item.path))
        lossy = item.path.endswith(".jpg")
        assert np.abs(image.astype(int) - drawing.image).mean() <= (6 if lossy else 0)


def test_keypoints_have_the_records_paths(name, root):
    keypoints = pd.read_csv(root / "keypoints.csv", index_col="path")
    assert keypoints.index.is_monotonic_increasing and len(keypoints) == num_images(name, SCALE)
    assert set(records_of(name, root, expected=None)["path"]) <= set(keypoints.index)
    assert list(keypoints.columns[:3]) == ["head_x", "head_y", "head_visible"] and keypoints.shape[1] == 3 * len(JOINTS)
    for path, row in keypoints.iloc[::10].iterrows():
        x, y, seen = row.to_numpy().reshape(-1, 3).T
        at = seen == 1
        assert mask(root, path)[y[at].astype(int), x[at].astype(int)].all()


@pytest.mark.parametrize("fold", [0, 4])
def test_every_query_of_a_protocol_has_a_match(name, root, fold):
    table = protocol_split(records_of(name, root, expected=None), fold=fold)
    gallery = table[table["role"] == "gallery"].groupby("pid")["camid"].agg(set)
    queries = table[table["role"] == "query"]
    assert len(queries) and 0 not in set(queries["pid"])
    for pid, camid in zip(queries["pid"], queries["camid"], strict=True):
        assert camid == UNKNOWN_CAMERA or gallery[pid] - {camid}
        assert gallery[pid]
    if name != "partial_ilids":
        assert {"train", "val", "test"} <= set(table["role"])


def test_a_larger_scale_is_never_smaller(name):
    specs = [spec_for(name, scale) for scale in np.geomspace(1e-5, 1, 80)]
    for field in ("train_ids", "train_images", "test_ids", "queries", "gallery", "distractors", "passers_by", "junk"):
        numbers = [getattr(spec, field) for spec in specs]
        assert numbers == sorted(numbers) and numbers[-1] == SPECS[name].get(field, 0)


@pytest.mark.parametrize("scale", [1e-9, 0.01, 0.1])
def test_as_many_are_planned_as_announced(name, scale):
    items = plan(spec_for(name, scale), 3)
    assert len(items) == len({item.path for item in items}) == num_images(name, scale)
    assert len({(item.pid, item.camid, item.index, item.part) for item in items}) == len(items)


@pytest.mark.parametrize("name", ["raid", "cuhk03", "rpifield"])
def test_everybody_has_two_images_in_each_of_their_cameras(name):
    items = pd.DataFrame(plan(spec_for(name, SCALE), 0))
    if name == "cuhk03":
        items["split"] = items["path"].str.contains("train")
    assert items.groupby(["pid", "camid"]).size().min() >= 2


# -- full size ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["market1501", "raid", "partial_ilids", "ilids", "cuhk03"])
def test_full_size_has_the_published_numbers(name, tmp_path, monkeypatch):
    size = (128, 64) if name == "raid" else (1, 1)
    nothing = Drawing(np.zeros((*size, 3), np.uint8), np.zeros(size, bool), np.zeros((len(JOINTS), 3), np.float32))
    monkeypatch.setattr(generate, "draw", lambda *args: nothing)
    monkeypatch.setattr(layouts, "_encoded", lambda *args, **options: b"an image")  # which no parser opens
    records_of(name, write(tmp_path / "twin", spec_for(name, 1.0), progress=False))


def test_full_size_rpifield_has_the_published_numbers():
    items = plan(spec_for("rpifield", 1.0), 0)
    paths = pd.Series([item.path for item in items])
    assert paths.is_unique and paths.is_monotonic_increasing
    boxes = paths.str.extract(r"^Data/Cam_(\d+)/(\d+)(?:_(\d+))?/Cam_(\d+)f_(\d+)\.png$")
    boxes = boxes.fillna("0").astype(int).set_axis(["camid", "label", "visit", "also_camid", "frame"], axis=1)
    assert (boxes["camid"] == boxes["also_camid"]).all() and boxes["camid"].nunique() == 12
    actors, others = boxes[boxes["label"] <= 112], boxes[boxes["label"] > 10_000]
    assert (len(actors), actors["label"].nunique()) == (211_644, 112)
    assert (len(others), others["label"].nunique()) == (389_937, 3996)
    assert len(boxes) == len(actors) + len(others) == rpifield.EXPECTED["all"]["images"]
    cameras = actors.groupby("label")["camid"].nunique()
    assert cameras[89] == 1 and cameras.drop(89).min() >= 2
    assert 6.5 < cameras.mean() < 7.5 and 1.7 < cameras.std() < 2.7
    visits = actors.groupby(["label", "camid", "visit"]).size()
    assert 1.8 < visits.groupby(["label", "camid"]).size().mean() < 2.2
    assert 80 < visits.median() < 115 and 120 < visits.mean() < 150
    assert 1.2 < others.groupby("label")["camid"].nunique().mean() < 1.3


# -- what is particular ------------------------------------------------------------------------------------------------


def test_partial_ilids_shows_the_persons_of_ilids_from_another_camera(tmp_path_factory):
    root = drawn("partial_ilids", tmp_path_factory)
    found = records_of("partial_ilids", root, expected=None)
    query, gallery = (found[found["split"] == split]["pid"].tolist() for split in ("query", "gallery"))
    assert query == gallery == list(range(1, 61))
    sizes = {path: mask(root, path).shape for path in found["path"]}
    assert all((size == (128, 64)) == ("whole" in path) for path, size in sizes.items())
    items = pd.DataFrame(plan(spec_for("partial_ilids", SCALE), 0)).set_index(["part", "pid"])
    assert (items.loc[True, "camid"] != items.loc[False, "camid"]).all()
    partial, whole = spec_for("partial_ilids", 1.0), spec_for("ilids", 1.0)
    for pid, camid in ((1, 1), (119, 2)):
        of_partial, of_whole = (
            draw(replace(spec, occlusion=0.0, clutter=0.0, cut=0.0), 0, pid, camid, 3).image
            for spec in (partial, whole)
        )
        np.testing.assert_array_equal(of_partial, of_whole)
    indices = {item.index for item in plan(whole, 0)}
    assert not indices & set(items["index"]), "no image of i-LIDS comes again"


def test_data_sets_share_nobody_else():
    looks = {name: generate._look(name, 0, 1) for name in SPECS if name != "partial_ilids"}
    assert len(set(looks.values())) == len(looks) == 5


def test_ilids_has_two_to_eight_images_of_a_person():
    items = plan(spec_for("ilids", 1.0), 0)
    numbers = pd.Series([item.pid for item in items]).value_counts()
    assert numbers.min() == 2 and 6 < numbers.max() <= 8
    assert pd.DataFrame(items).groupby("pid")["camid"].nunique().eq(2).all()


def test_raid_lacks_the_two_persons_and_begins_as_matlab_writes(tmp_path_factory):
    items = plan(spec_for("raid", 1.0), 0)
    assert {(8, 3), (34, 4)} == {(p, c) for p in range(1, 44) for c in range(1, 5)} - {i[1:3] for i in items}
    start = (drawn("raid", tmp_path_factory) / "RAiD_4Cams.mat").read_bytes()[:520]
    assert start.startswith(b"MATLAB 7.3 MAT-file") and start[124:128] == b"\x00\x02IM"
    assert start[512:] == b"\x89HDF\r\n\x1a\n"


def test_rpifield_has_its_annotation(tmp_path_factory):
    root = drawn("rpifield", tmp_path_factory)
    boxes = rpifield.read_annotation(root)
    found = records_of("rpifield", root, expected=None)
    assert ("Data/" + boxes["path"]).tolist() == found["path"].tolist()
    assert (boxes["frame"] == boxes["timestamp"]).all() and (boxes["pid"] == found["pid"]).all()
    assert boxes["label"].nunique() == 45 and boxes["reappearance"].max() > 0
    assert boxes["reappearance"].tolist() == [item.visit for item in plan(spec_for("rpifield", SCALE), 0)]
    stamps = [re.match(rb"[^,]*, synthetic +\x00", (root / f"Data_Info/Cam_{c}.mat").read_bytes()) for c in (1, 12)]
    assert all(stamps), "no date"
