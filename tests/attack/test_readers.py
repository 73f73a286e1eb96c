"""Damaged files, thousands of them: each reader reads one rightly, or refuses it with the file's name.

Not part of `make test`: `make attack` runs it, with 300 damaged files for each reader, or ATTACK=10000.
"""

import io
import multiprocessing

import numpy as np
import pytest
from attack.attacking import TRIES, attack
from attack.mutations import damaged, damaged_csv, damaged_json, damaged_npz, odd_exif
from click.testing import CliRunner
from made_images import matlab_arrays, save_matlab
from PIL import Image
from saved_embeddings import arrays
from scipy.io import savemat

from gaaplib import cli, runs
from gaaplib.config import RunConfig
from gaaplib.datasets import cuhk03, folder, partial_ilids, raid, rpifield
from gaaplib.datasets.images import read_image
from gaaplib.datasets.records import check_records
from gaaplib.evaluation.embedding_files import read_mat, read_npz

pytestmark = pytest.mark.skipif(not TRIES, reason="takes minutes; make attack runs it")

SLOW = max(TRIES // 10, 1)
"""Tries of what starts a process or builds a model each time."""

SIDES = [arrays(seed, 30, junk=2) for seed in range(3)]


def damage_file(target, mutate, contents):
    """A function that writes one of the contents, damaged, to the target."""

    def damage(rng):
        target.write_bytes(mutate(rng, rng.choice(contents), contents))

    return damage


def bytes_of(write, *variants):
    """What a function writes to a file, for each variant."""

    def content(variant):
        stream = io.BytesIO()
        write(stream, variant)
        return stream.getvalue()

    return [content(variant) for variant in variants]


def check_side(side):
    assert side.embeddings.ndim == 2 and len(side.embeddings) == len(side.pids)
    assert np.isfinite(side.embeddings).all()
    assert side.pids.dtype == np.int64 and side.pids.ndim == 1
    assert side.camids is None or (side.camids.dtype == np.int64 and side.camids.shape == side.pids.shape)


# -- embeddings --------------------------------------------------------------------------------------------------------

NPZ = bytes_of(lambda stream, side: np.savez(stream, **side), *SIDES)
NPZ += bytes_of(lambda stream, side: np.savez_compressed(stream, **side), *SIDES)


def test_embeddings_of_damaged_bytes_are_those_that_were_saved(tmp_path):
    target = tmp_path / "gallery.npz"

    def read():
        side = read_npz(target)
        for name in ("embeddings", "pids", "camids"):
            found = getattr(side, name)
            # Cameras are optional: damage to their name in the archive's list hides them.
            saved = any(np.array_equal(found, one[name]) for one in SIDES)
            assert saved or (name == "camids" and found is None)

    assert not attack("npz bytes", TRIES, damage_file(target, damaged, NPZ), read, target)


def test_embeddings_of_a_damaged_archive(tmp_path):
    target = tmp_path / "gallery.npz"
    damage = damage_file(target, damaged_npz, NPZ)
    assert not attack("npz members", TRIES, damage, lambda: check_side(read_npz(target)), target)


PARTS = (("f", "embeddings"), ("label", "pids"), ("cam", "camids"))


def test_embeddings_of_a_mat_file(tmp_path):
    target = tmp_path / "result.mat"
    content = {f"{side}_{part}": arrays(3)[name] for side in ("query", "gallery") for part, name in PARTS}
    contents = [
        *bytes_of(lambda stream, packed: savemat(stream, content, do_compression=packed), False, True),
        *bytes_of(
            lambda stream, odd: savemat(stream, content | odd), {"query_f": [[1, "a"]]}, {"other": {"a": [1, 2]}}
        ),
    ]

    def read():
        for side in read_mat(target):
            check_side(side)

    assert not attack("mat", SLOW, damage_file(target, damaged, contents), read, target)


# -- images ------------------------------------------------------------------------------------------------------------


def picture(mode):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    if mode == "F":
        return Image.fromarray(colours[..., 0].astype(np.float32))
    if mode == "I;16":
        return Image.fromarray(colours[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(colours).resize((40, 30)).convert(mode)


PACKED = ("raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate")
KINDS = {
    "jpeg": [("RGB", {"progressive": True}), ("RGB", {}), ("L", {}), ("CMYK", {})],
    "png": [("RGB", {}), ("P", {"transparency": 3}), ("LA", {}), ("RGBA", {}), ("1", {}), ("I;16", {})],
    "webp": [("RGB", {}), ("RGBA", {"lossless": True})],
    "tiff": [
        *(("RGB", {"compression": packed}) for packed in PACKED),
        *[("F", {}), ("I;16", {}), ("1", {"compression": "group4"}), ("P", {}), ("CMYK", {})],
    ],
    "gif": [("P", {"transparency": 3}), ("L", {})],
    "bmp": [("RGB", {}), ("P", {}), ("1", {})],
}
"""Formats, and the modes and options of images in them."""


def pictures(kind):
    """Images of one format, as bytes: each as it is and, if the format has EXIF, turned."""
    upright, turned = {}, {"exif": Image.Exif()}
    turned["exif"][0x0112] = 6
    for mode, options in KINDS[kind]:
        for exif in (upright,) if kind in ("gif", "bmp") else (upright, turned):
            stream = io.BytesIO()
            picture(mode).save(stream, kind, **options, **exif)
            yield stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_images(tmp_path, kind):
    target = tmp_path / f"image.{kind}"

    def read():
        pixels = read_image(target, 16, 8)
        assert pixels.shape == (16, 8, 3) and pixels.dtype == np.uint8

    assert not attack(f"image {kind}", TRIES, damage_file(target, damaged, list(pictures(kind))), read, target)


def test_odd_exif_changes_nothing_but_the_orientation(tmp_path):
    target = tmp_path / "image.png"
    square = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    pixels = np.asarray(square)
    turned = [np.rot90(each, turns) for each in (pixels, pixels.swapaxes(0, 1)) for turns in range(4)]

    def read():
        found = read_image(target, 8, 8)
        assert any(np.array_equal(found, one) for one in turned)

    def damage(rng):
        square.save(target, exif=odd_exif(rng))

    assert not attack("image exif", TRIES, damage, read, target)


# -- data sets ---------------------------------------------------------------------------------------------------------


def test_raid(tmp_path):
    target = tmp_path / raid.FILE
    contents = []
    for pids in ([3, 3, 1, 1, 43], [1, 2, 3, 4]):
        save_matlab(target, matlab_arrays(pids, [1, 2, 1, 4, 3][: len(pids)]))
        contents.append(target.read_bytes())

    def read():
        records = raid.read(target, expected=None)
        check_records(records)
        assert records["camid"].isin(raid.CAMERAS).all() and (records["pid"] >= 1).all()
        for image in raid.images(target, records["path"]):
            assert image.size == (64, 128) and image.mode == "RGB"
        assert raid.mask(target, records["path"][0]).shape == (128, 64)

    assert not attack("raid hdf5", TRIES, damage_file(target, damaged, contents), read, target)


IMAGES = ["door/1.jpg", "door/2.jpg", "yard/3.png"]


def touch(home, *files):
    for file in files:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()


TABLES = ["path,pid,camid,split\ndoor/1.jpg,1,1,train\ndoor/2.jpg,2,2,query\nyard/3.png,0,1,gallery\n"]
TABLES += ["path,pid\ndoor/1.jpg,anna\ndoor/2.jpg,p10\nyard/3.png,p9", 'pid,path\n7,"door/1.jpg"\n\n 8 , yard\\3.png\n']


def test_records_csv(tmp_path):
    touch(tmp_path, *IMAGES)
    target = tmp_path / folder.TABLE

    def read():
        records = folder.read(tmp_path)
        check_records(records)
        assert set(records["path"]) <= set(IMAGES)

    contents = [table.encode() for table in TABLES]
    assert not attack("records.csv", TRIES, damage_file(target, damaged_csv, contents), read, target)


def test_lists_of_partial_ilids(tmp_path):
    touch(tmp_path, "Probe/001.jpg", "Probe/002.jpg", "Gallery/001.jpg", "Gallery/002.jpg")
    for name in ("Probe", "Gallery"):
        (tmp_path / f"{name}.txt").write_text(f"{name}/001.jpg\n{name}/002.jpg\n")
    target = tmp_path / "Probe.txt"
    content = target.read_bytes()

    def read():
        records = partial_ilids.read(tmp_path, expected=None)
        check_records(records)
        assert all((tmp_path / path).is_file() for path in records["path"])

    assert not attack("Probe.txt", TRIES, damage_file(target, damaged_csv, [content]), read, target)


def test_configuration_of_cuhk03(tmp_path):
    names = [f"{number}.png" for number in range(1, 5)]
    touch(tmp_path, *(f"images_labeled/{name}" for name in names))
    table = {"labels": [1, 2, 3, 3], "camId": [1, 1, 1, 2], "train_idx": [1, 2], "query_idx": [3], "gallery_idx": [4]}
    table["filelist"] = np.array(names, dtype=object)
    target = tmp_path / cuhk03.CONFIG.format("labeled")
    contents = bytes_of(lambda stream, packed: savemat(stream, table, do_compression=packed), False, True)

    def read():
        records = cuhk03.read(tmp_path, expected=None)
        check_records(records)
        assert all((tmp_path / path).is_file() for path in records["path"])

    assert not attack("cuhk03 config", SLOW, damage_file(target, damaged, contents), read, target)


def test_annotation_of_rpifield(tmp_path):
    for camid in rpifield.CAMERAS:
        names = np.array([f"2\\Cam_{camid}f_4.png", f"10001_2\\Cam_{camid}f_7.png"], dtype=object)
        table = {"allimagenames": names, "ids": np.array(["2", "10001_2"], dtype=object), "timestamps": [[4], [7]]}
        savemat(tmp_path / f"Cam_{camid}.mat", table)
    target = tmp_path / "Cam_1.mat"
    content = target.read_bytes()

    def read():
        boxes = rpifield.read_annotation(tmp_path)
        assert boxes["camid"].isin(rpifield.CAMERAS).all() and boxes["timestamp"].dtype.kind in "if"

    assert not attack("rpifield mat", SLOW, damage_file(target, damaged, [content]), read, target)


# -- runs --------------------------------------------------------------------------------------------------------------


def made(name, *arguments, **keywords):
    """Call a function of ``made_runs`` in another process: it imports Keras, and then a fork of this one would hang."""

    def call():
        import made_runs

        getattr(made_runs, name)(*arguments, **keywords)

    process = multiprocessing.get_context("fork").Process(target=call)
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.fixture
def run(tmp_path):
    made("scored", tmp_path / "outputs")
    (run,) = runs.finished(tmp_path / "outputs")
    return run


def results(outputs):
    """`gaap results` for a folder of outputs; raises what it raises."""
    result = CliRunner(env={"GAAP_OUTPUTS": str(outputs)}).invoke(cli.main, ["results"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_metrics_of_a_run(tmp_path, run):
    target = run.folder / "metrics.json"
    contents = [target.read_bytes()]
    closed = {"mRA": 0.5, "cmc1": 0.5, "mAP": 0.5, "num_images": 40}
    made("finish", run, closed=closed, retrieval={"mAP": 0.5, "cmc1": 0.5, "num_valid_queries": 40})
    contents.append(target.read_bytes())

    def read():
        results(tmp_path / "outputs")
        trouble = run.trouble()
        if trouble:
            raise ValueError(trouble)
        assert run.folder.name in {each.folder.name for each in runs.finished(tmp_path / "outputs")}

    assert not attack("metrics.json", TRIES, damage_file(target, damaged_json, contents), read, target)


def test_configuration_of_a_run(run):
    target = run.folder / "config.json"
    contents = [target.read_bytes()]
    damage = damage_file(target, damaged_json, contents)

    def read():
        assert isinstance(run.config, RunConfig)

    assert not attack("config.json", TRIES, damage, read, target)


@pytest.mark.parametrize("mutate", [damaged, damaged_npz])
def test_queries_of_a_run(run, mutate):
    target = run.folder / "per_query.npz"
    content = target.read_bytes()
    saved = run.per_query

    def read():
        for name, values in run.per_query.items():
            assert values.dtype.kind in "biuf"
            assert mutate is damaged_npz or np.array_equal(values, saved[name])

    damage = damage_file(target, mutate, [content])
    assert not attack(f"per_query.npz {mutate.__name__}", TRIES, damage, read, target)


def test_model_of_a_run(tmp_path):
    made("write_model", tmp_path)
    (run,) = runs.finished(tmp_path)
    target = run.model_file
    content = target.read_bytes()

    def read():
        assert "embedding" in run.model().output

    assert not attack("model.keras", SLOW, damage_file(target, damaged, [content]), read, target)
