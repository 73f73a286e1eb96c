"""The generated images and their files, tested on the twin of Market-1501. All twins: test_layouts.py."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gaaplib.datasets.synthetic import SyntheticSpec, draw, generate, mask, plan, spec_for, write
from gaaplib.datasets.synthetic.pedestrians import JOINTS

NAME = re.compile(r"(-?\d+)_c(\d)s(\d+)_(\d+)_(\d+)\.jpg")
FOLDER = "Market-1501-v15.09.15"
SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SMALL = SyntheticSpec(
    "market1501", train_ids=3, train_images=18, test_ids=3, queries=9, gallery=15, distractors=4, junk=3, cameras=6,
    cameras_per_id=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("drawn") / "set", SMALL, seed=5, progress=False)


def contents(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def images(root: Path, split: str) -> list[Path]:
    return sorted((root / FOLDER / SPLITS[split]).iterdir())


def test_images_do_not_depend_on_the_order_of_drawing():
    items = plan(SMALL, 5)
    forward = [draw(SMALL, 5, *item[1:]).image for item in items]
    backward = [draw(SMALL, 5, *item[1:]).image for item in items[::-1]][::-1]
    np.testing.assert_array_equal(forward, backward)


def test_another_seed_gives_other_images():
    assert (draw(SMALL, 5, 1, 1, 0).image != draw(SMALL, 6, 1, 1, 0).image).mean() > 0.5
    assert (draw(SMALL, 5, 1, 1, 0).image != draw(SMALL, 5, 1, 1, 1).image).mean() > 0.2


def test_box_and_surroundings_change_within_a_track():
    drawings = [draw(SMALL, 5, 1, 1, index) for index in range(12)]
    assert np.std([drawing.keypoints[0, 0] for drawing in drawings]) > 1.5
    assert len({drawing.mask[:30].sum() for drawing in drawings}) > 8


def test_counts_on_disk_are_those_of_the_spec(root):
    written = json.loads((root / "synthetic.json").read_text())
    found = {split: len(images(root, split)) for split in SPLITS}
    assert found == {"train": 18, "query": 9, "gallery": 15 + 4 + 3} == written["counts"]
    assert written["seed"] == 5 and SyntheticSpec(**written["spec"]) == SMALL


def test_names_parse_and_identities_are_disjoint(root):
    parsed = {s: [NAME.fullmatch(path.name) for path in images(root, s)] for s in SPLITS}
    assert all(all(matches) for matches in parsed.values())
    pids = {s: [int(m[1]) for m in matches] for s, matches in parsed.items()}
    assert pids["gallery"].count(0) == 4 and pids["gallery"].count(-1) == 3
    assert len(set(pids["train"])) == 3 and set(pids["query"]) == set(pids["gallery"]) - {0, -1}
    assert set(pids["train"]) | set(pids["query"]) == set(range(1, 7))
    assert not set(pids["train"]) & set(pids["query"])


@pytest.mark.parametrize("cameras_per_id", [2, 4.49])
@pytest.mark.parametrize("seed", range(3))
def test_every_query_has_a_match_in_another_camera(seed, cameras_per_id):
    spec = spec_for("market1501", 0.05)
    spec = replace(spec, cameras_per_id=cameras_per_id, queries=int(spec.test_ids * cameras_per_id))
    items = plan(spec, seed)
    gallery = {(item.pid, item.camid) for item in items if SPLITS["gallery"] in item.path}
    queries = [(item.pid, item.camid) for item in items if SPLITS["query"] in item.path]
    assert len(set(queries)) == len(queries), "one query for each identity and camera"
    for pid, camid in queries:
        assert any(p == pid and c != camid for p, c in gallery)
    assert len(queries) == spec.queries and len({item.path for item in items}) == len(items)


def test_identities_of_both_splits_are_interleaved():
    pids = {
        split: [i.pid for i in plan(spec_for("market1501", 1.0), 0) if folder in i.path]
        for split, folder in SPLITS.items()
    }
    train, test = set(pids["train"]), set(pids["query"])
    assert (len(train), len(test), len(train | test), max(train | test)) == (751, 750, 1501, 1501)
    assert abs(np.mean(list(train)) - np.mean(list(test))) < 100


def test_masks_and_keypoints_fit_the_images(root):
    with (root / "keypoints.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["path", "head_x", "head_y", "head_visible"]
    paths = [row[0] for row in rows[1:]]
    assert paths == sorted(paths)
    assert set(paths) == {f"{FOLDER}/{SPLITS[s]}/{p.name}" for s in SPLITS for p in images(root, s)}
    for path, *values in rows[1:]:
        with Image.open(root / path) as image:
            assert image.format == "JPEG" and image.size == (64, 128) and image.mode == "RGB"
        seen = mask(root, path)
        assert seen.shape == (128, 64) and seen.dtype == bool
        if int(NAME.fullmatch(Path(path).name)[1]) > 0:
            assert seen.mean() > 0.05
        for x, y, visible in np.array(values, float).reshape(len(JOINTS), 3):
            if visible:
                assert 0 <= x < 64 and 0 <= y < 128
                around = seen[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2]
                assert around.any()


def test_deleted_files_are_drawn_again(tmp_path):
    root = write(tmp_path / "set", SMALL, seed=5, progress=False)
    expected = contents(root)
    for path in [*images(root, "train")[:3], root / "synthetic.json", root / "keypoints.csv"]:
        path.unlink()
    next((root / "masks" / FOLDER / "query").iterdir()).unlink()
    write(root, SMALL, seed=5, progress=False)
    assert contents(root) == expected


def test_complete_set_is_left_alone(root, monkeypatch):
    monkeypatch.setattr(generate, "draw", None)
    assert write(str(root), SMALL, seed=5, progress=False) == root


def test_another_spec_seed_or_version_is_refused(root, tmp_path, monkeypatch):
    with pytest.raises(FileExistsError, match="another seed"):
        write(root, SMALL, seed=6, progress=False)
    with pytest.raises(FileExistsError, match="another spec"):
        write(root, replace(SMALL, junk=2), seed=5, progress=False)
    monkeypatch.setattr(generate, "VERSION", generate.VERSION + 1)
    with pytest.raises(FileExistsError, match="another version"):
        write(root, SMALL, seed=5, progress=False)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(FileExistsError, match="other files"):
        write(tmp_path, SMALL, seed=5, progress=False)


def test_identity_persists_across_cameras():
    spec = replace(SMALL, cast=0.0, occlusion=0.0, clutter=0.0, cut=0.0)

    def clothes(pid, camid, index):
        drawing = draw(spec, 1, pid, camid, index)
        halves = np.array_split(np.arange(spec.height), 2)
        return np.concatenate([drawing.image[rows][drawing.mask[rows]].mean(0) for rows in halves])

    colours = np.array([[clothes(pid, 1 + k % 6, k) for k in range(6)] for pid in range(1, 25)])
    within = colours.std(axis=1).mean()
    between = colours.mean(axis=1).std(axis=0).mean()
    assert between > 2 * within
    centres = colours[:, :3].mean(axis=1)
    nearest = np.linalg.norm(colours[:, 3:, None] - centres, axis=-1).argmin(axis=-1)
    assert (nearest == np.arange(24)[:, None]).mean() > 0.6


@pytest.mark.parametrize(
    "field, value",
    [
        ("dataset", "mars"), ("train_ids", 0), ("test_ids", -1), ("cameras", 1), ("junk", -1),
        ("cameras_per_id", 7), ("train_images", 8), ("gallery", float("nan")), ("queries", 5), ("gallery", 8),
        ("height", 8), ("occlusion", 1.5), ("quality", 0), ("distractors", 2.5), ("cast", -0.1), ("passers_by", 1),
        ("indoor", 7),
    ],
)  # fmt: skip
def test_bad_spec_names_field_and_value(field, value):
    with pytest.raises(ValueError, match=rf"{field} is|{field} '") as error:
        replace(SMALL, **{field: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("scale", [0, -1, 1.5, float("nan")])
def test_bad_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        spec_for("market1501", scale)


def test_unknown_data_set_is_answered_with_the_known():
    with pytest.raises(ValueError, match="market1501"):
        spec_for("imagenet", 1.0)


def test_small_scale_keeps_two_identities_a_side():
    spec = spec_for("market1501", 1e-6)
    assert (spec.train_ids, spec.test_ids, spec.junk) == (2, 2, 0)


def test_other_sizes_are_drawn():
    drawing = draw(replace(SMALL, height=256, width=128), 0, 1, 2, 0)
    assert drawing.image.shape == (256, 128, 3) and drawing.mask.mean() > 0.1
    with pytest.raises(ValueError, match="camid"):
        draw(SMALL, 0, 1, 7, 0)


def test_a_part_is_a_piece_of_a_body_with_its_joints():
    sizes = set()
    for pid in range(1, 40):
        whole, part = (draw(replace(SMALL, occlusion=0.0), 0, pid, 1, 0, part=part) for part in (False, True))
        height, width = part.mask.shape
        sizes.add((height < 128, width < 64))
        assert part.image.shape == (height, width, 3)
        assert 0.25 * whole.mask.sum() < part.mask.sum() < 0.95 * whole.mask.sum()
        seen = part.keypoints[part.keypoints[:, 2] == 1]
        assert 0 < len(seen) <= whole.keypoints[:, 2].sum()
        assert part.mask[seen[:, 1].astype(int), seen[:, 0].astype(int)].all()
    assert sizes == {(True, False), (False, True)}
    hidden, free = (draw(replace(SMALL, occlusion=share), 0, 1, 1, 0, part=True).image for share in (1.0, 0.0))
    np.testing.assert_array_equal(hidden, free, "nothing is in front of a part")


def test_another_visit_is_another_track():
    plain = replace(SMALL, occlusion=0.0, clutter=0.0, cut=0.0)
    first, again, second = (draw(plain, 0, 1, 1, 0, visit).mask for visit in (0, 0, 1))
    assert (first == again).all() and (first != second).mean() > 0.02


def test_mask_of_no_image_is_refused(root):
    with pytest.raises(FileNotFoundError, match="no mask of 'query/0001.jpg'"):
        mask(root, "query/0001.jpg")


def test_in_the_occluded_variant_only_queries_differ_and_show_less_of_the_person(tmp_path):
    plain, occluded = (spec_for("market1501", 0.01, variant) for variant in (None, "occluded"))
    assert replace(occluded, query_occlusion=None) == plain
    roots = [write(tmp_path / str(number), spec, progress=False) for number, spec in enumerate((plain, occluded))]
    shares = []
    for item in plan(plain, 0):
        files = [root / item.path for root in roots]
        same = files[0].read_bytes() == files[1].read_bytes()
        if "/query/" in item.path:
            shares.append([mask(root, item.path).mean() for root in roots])
        else:
            assert same, item.path
    before, after = np.transpose(shares)
    assert (after <= before + 0.01).all() and after.mean() < 0.85 * before.mean()
    with pytest.raises(ValueError, match="variant 'occluded' of raid is unknown; known: None"):
        spec_for("raid", 1, "occluded")
