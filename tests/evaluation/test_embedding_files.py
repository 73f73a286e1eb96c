"""Embedding files: what is read, and what is refused."""

import h5py
import numpy as np
import pytest
import scipy.io
from saved_embeddings import GOOD, arrays, changed, on, run, save, with_row

from gaaplib.evaluation.embedding_files import read_mat, read_npz
from gaaplib.evaluation.embedding_scores import evaluate


@pytest.fixture
def files(tmp_path):
    """Query and gallery, the latter with three junk images."""
    return save(tmp_path / "q.npz", **arrays(1, 20)), save(tmp_path / "g.npz", **arrays(2, 60, junk=3))


@pytest.mark.parametrize(
    "names", [("embeddings", "pids", "camids"), ("feat", "ids", "cams"), ("feats", "labels", "cameras")]
)
def test_arrays_are_found_by_their_names(tmp_path, names):
    content = arrays()
    side = read_npz(save(tmp_path / "a.npz", **dict(zip(names, content.values(), strict=True))))
    for name, values in content.items():
        np.testing.assert_array_equal(getattr(side, name), values)


def test_cameras_may_be_missing_and_labels_may_have_matlab_shapes(tmp_path):
    content = arrays()
    side = read_npz(save(tmp_path / "a.npz", embeddings=content["embeddings"], pids=content["pids"][None] * 1.0))
    assert side.camids is None
    assert side.pids.dtype.kind == "i"
    np.testing.assert_array_equal(side.pids, content["pids"])


def test_a_mat_file_is_both_sides(files, tmp_path):
    query, gallery = map(read_npz, files)
    # Person_reID_baseline_pytorch saves lists of numbers, which become (1, n).
    content = {"query": query, "gallery": gallery}
    content = {
        f"{name}_{part}": list(values) if part != "f" else values
        for name, side in content.items()
        for part, values in (("f", side.embeddings), ("label", side.pids), ("cam", side.camids))
    }
    scipy.io.savemat(tmp_path / "pytorch_result.mat", content)
    assert evaluate(*read_mat(tmp_path / "pytorch_result.mat")) == evaluate(query, gallery)
    result = run("--mat", tmp_path / "pytorch_result.mat")
    assert result.exit_code == 0, result.output
    assert result.output == on(files).output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(pids=None), "has no pids (accepted names: pids, labels, ids); it has: embeddings, camids"),
        (changed(embeddings=None), "has no embeddings (accepted names: embeddings, features, feats, feat)"),
        (changed(labels=GOOD["pids"]), "has both pids and labels: keep only the one that holds the pids"),
        (changed(pids=GOOD["pids"].astype(object)), "pids cannot be read (Object arrays cannot be loaded"),
        (changed(pids=GOOD["pids"].astype(str)), "the identities have dtype <U21 and are not whole numbers"),
        (changed(camids=GOOD["camids"] + 0.5), "the cameras have dtype float64 and are not whole numbers"),
        (changed(pids=GOOD["pids"] * np.nan), "the identities have dtype float64 and are not whole numbers"),
        (changed(pids=GOOD["pids"][1:]), "the identities have shape (29,): with 30 embeddings the shape must be (30,)"),
        (changed(embeddings=GOOD["embeddings"][:, :, None]), "the embeddings have shape (30, 6, 1)"),
        (changed(embeddings=with_row(7, np.nan)), "the embedding at row 7 has NaN or infinite values (1 such rows)"),
        (changed(embeddings=with_row(4, 0)), "has an embedding of zeros at row 4 (1 such rows)"),
        (changed(embeddings=GOOD["embeddings"][:, 1:]), "has embeddings of 6 dimensions and"),
        (changed(camids=None), "has no cameras, but the other side has"),
        (changed(pids=GOOD["pids"] + 100), "no query has a match: no identity of"),
        (changed(pids=GOOD["pids"] * 0 - 1), "has no image whose identity is not -1"),
    ],
)
def test_a_bad_gallery_gives_a_clear_message(tmp_path, content, message):
    files = save(tmp_path / "q.npz", **GOOD), save(tmp_path / "g.npz", **content)
    result = on(files)
    assert result.exit_code == 1
    assert message in result.output
    assert "g.npz" in result.output
    assert result.output.startswith("Error: ")


def npy(path):
    with open(path, "wb") as file:
        np.save(file, GOOD["embeddings"])


def cut(path):
    with open(path, "wb") as file:
        np.savez(file, **GOOD)
    path.write_bytes(path.read_bytes()[:-30])


def damaged(path):
    with open(path, "wb") as file:
        np.savez(file, **GOOD)
    content = bytearray(path.read_bytes())
    content[300] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such file: "),
        (npy, "is a single array (.npy)"),
        (lambda path: path.write_text("pid,camid\n"), "is not an .npz file: write one with numpy.savez("),
        (lambda path: path.write_bytes(b""), "is not an .npz file"),
        (cut, "is not an .npz file"),
        (damaged, "cannot be read"),
    ],
)
def test_a_file_that_is_not_npz_gives_a_clear_message(tmp_path, write, message):
    write(tmp_path / "g.npz")
    result = on((save(tmp_path / "q.npz", **GOOD), tmp_path / "g.npz"))
    assert result.exit_code == 1
    assert message in result.output
    assert "g.npz" in result.output


def hdf5(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["query_f"] = GOOD["embeddings"].T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such file: "),
        (hdf5, "is a .mat file of version 7.3 (HDF5)"),
        (lambda path: path.write_text("nothing of the kind"), "cannot be read as a .mat file"),
        (lambda path: path.write_bytes(b""), "cannot be read as a .mat file"),
        (
            lambda path: scipy.io.savemat(path, {"query_f": GOOD["embeddings"], "gallery_f": GOOD["embeddings"]}),
            "has no query_label; it has: gallery_f, query_f",
        ),
        (
            lambda path: scipy.io.savemat(path, {"query_f": np.array([{}, 1], object), "query_label": [1, 2]}),
            "(query): the embeddings have shape (1, 2) and dtype object",
        ),
    ],
)
def test_a_bad_mat_file_gives_a_clear_message(tmp_path, write, message):
    write(tmp_path / "result.mat")
    result = run("--mat", tmp_path / "result.mat")
    assert result.exit_code == 1
    assert message in result.output
    assert "result.mat" in result.output
