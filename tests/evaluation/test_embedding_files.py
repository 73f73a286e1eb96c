"""Embedding files: what is read, and what is refused."""

import io
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from saved_embeddings import GOOD, arrays, changed, on, run, save, with_row

from gaaplib import matlab
from gaaplib.evaluation import embedding_files
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
        (
            changed(pids=GOOD["pids"].astype(object)),
            "pids cannot be read: pickled objects are refused: save numbers, or text by astype",
        ),
        (changed(pids=GOOD["pids"].astype("S")), "the identities have dtype |S21 and are not whole numbers"),
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


def npy_bytes(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


PIDS = npy_bytes(GOOD["pids"])


def pids_with(dtype="<i8", shape="(30,)"):
    """The identities as ``.npy`` with another dtype or shape in its header."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return PIDS[:10] + header.ljust(117) + PIDS[127:]


def zipped(path, compression=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


DAMAGED_MEMBERS = {
    "no npy": b"30 pids",
    "empty": b"",
    "an unbalanced header": pids_with(shape="(((("),
    "petabytes": pids_with(shape="(999999999999999,)"),
    "a negative shape": pids_with(shape="(-30,)"),
    "two negatives": pids_with(shape="(-30, -1)"),
    "fewer values than bytes": pids_with(shape="(29,)"),
    "an unknown dtype": pids_with(dtype="<q9"),
    "values without a size": pids_with(dtype="<U0"),
    "an unknown version": PIDS[:6] + b"\x09" + PIDS[7:],
    "cut": PIDS[:-8],
}


@pytest.mark.parametrize("name", DAMAGED_MEMBERS)
def test_a_damaged_array_is_named_with_its_file(tmp_path, name):
    good = {key: npy_bytes(values) for key, values in GOOD.items()}
    assert len(read_npz(zipped(tmp_path / "good.npz", **good)).pids) == 30
    path = zipped(tmp_path / "g.npz", **{**good, "pids": DAMAGED_MEMBERS[name]})
    with pytest.raises(ValueError, match=f"{path}: pids cannot be read"):
        read_npz(path)


def with_byte(path, marker, offset, value):
    """Change a byte at an offset from each place of a marker: of the heads of an archive's members."""
    content = bytearray(path.read_bytes())
    place = content.find(marker)
    while place >= 0:
        content[place + offset] = value
        place = content.find(marker, place + 1)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("offset", "value", "why"), [(0, 1, "encrypted"), (2, 99, "compression")])
def test_an_encrypted_array_and_an_unknown_compression_are_named(tmp_path, offset, value, why):
    path = with_byte(save(tmp_path / "g.npz", **GOOD), b"PK\x03\x04", 6 + offset, value)
    path = with_byte(path, b"PK\x01\x02", 8 + offset, value)
    with pytest.raises(ValueError, match=f"g.npz: embeddings cannot be read .*{why}"):
        read_npz(path)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "LARGE", 10**6)
    path = tmp_path / "g.npz"
    np.savez_compressed(path, embeddings=np.zeros((10**5, 3)), pids=np.zeros(10**5, int))
    with pytest.raises(ValueError, match=f"{path}: embeddings cannot be read: it would have 2400128 bytes"):
        read_npz(path)


def test_other_members_are_not_read(tmp_path):
    good = {name: npy_bytes(values) for name, values in GOOD.items()}
    path = zipped(tmp_path / "g.npz", **good, notes=b"no array at all")
    np.testing.assert_array_equal(read_npz(path).embeddings, GOOD["embeddings"])


def test_an_array_that_is_there_twice_is_refused(tmp_path):
    path = save(tmp_path / "g.npz", **GOOD)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("pids.npy", PIDS)
    with pytest.raises(ValueError, match="g.npz has both pids and pids"):
        read_npz(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("saved", [np.savez, np.savez_compressed])
def test_every_order_and_compression_of_numpy_is_read(tmp_path, saved, order):
    embeddings = np.array(GOOD["embeddings"], order=order)
    saved(tmp_path / "g.npz", **{**GOOD, "embeddings": embeddings})
    np.testing.assert_array_equal(read_npz(tmp_path / "g.npz").embeddings, embeddings)


@pytest.mark.parametrize("name", ["pids", "camids"])
@pytest.mark.parametrize("value", [2**64 - 1, 2**63])
def test_a_number_beyond_64_bits_does_not_become_junk(tmp_path, name, value):
    numbers = GOOD[name].astype(np.uint64)
    numbers[3] = value
    with pytest.raises(ValueError, match=f"g.npz: the .* have the value {value}: it must be below 2"):
        read_npz(save(tmp_path / "g.npz", **{**GOOD, name: numbers}))
    numbers[3] = 2**63 - 1
    assert getattr(read_npz(save(tmp_path / "g.npz", **{**GOOD, name: numbers})), name)[3] == 2**63 - 1


def mat_content(**changes):
    content = {
        f"{side}_{part}": GOOD[name]
        for side in ("query", "gallery")
        for part, name in (("f", "embeddings"), ("label", "pids"), ("cam", "camids"))
    }
    return {**content, **changes}


def test_a_mat_file_whose_head_says_too_much_is_refused_before_memory_is_asked_for(tmp_path):
    path = tmp_path / "result.mat"
    scipy.io.savemat(path, mat_content())
    shape = np.array(GOOD["embeddings"].shape, np.int32).tobytes()
    path.write_bytes(path.read_bytes().replace(shape, np.array([2**30, 6], np.int32).tobytes(), 1))
    with pytest.raises(ValueError, match="result.mat .*query_f has the shape .1073741824, 6., too much for the file's"):
        read_mat(path)


def test_a_mat_file_that_crashes_scipy_is_named(tmp_path, monkeypatch):
    scipy.io.savemat(tmp_path / "result.mat", mat_content())
    program = tmp_path / "program.py"
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(matlab, "SCRIPT", program)
    with pytest.raises(ValueError, match="result.mat cannot be read as a .mat file: SciPy crashes on it"):
        read_mat(tmp_path / "result.mat")


def test_a_mat_file_is_read_from_a_folder_with_a_module_of_numpys_name(tmp_path, monkeypatch):
    scipy.io.savemat(tmp_path / "result.mat", mat_content())
    (tmp_path / "numpy.py").write_text("raise SystemExit('not numpy')")
    monkeypatch.chdir(tmp_path)
    assert len(read_mat("result.mat")) == 2


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
            lambda path: scipy.io.savemat(path, mat_content(query_f=scipy.sparse.csc_array(GOOD["embeddings"]))),
            "cannot be read as a .mat file: query_f is a sparse: save a full matrix of numbers",
        ),
        (
            lambda path: scipy.io.savemat(path, mat_content(query_label=np.full(30, 2**64 - 1, np.uint64))),
            "result.mat (query): the identities have the value 18446744073709551615: it must be below 2**63",
        ),
        (
            lambda path: scipy.io.savemat(path, {"query_f": np.array([{}, 1], object), "query_label": [1, 2]}),
            "cannot be read as a .mat file: query_f is a cell: save a full matrix of numbers",
        ),
    ],
)
def test_a_bad_mat_file_gives_a_clear_message(tmp_path, write, message):
    write(tmp_path / "result.mat")
    result = run("--mat", tmp_path / "result.mat")
    assert result.exit_code == 1
    assert message in result.output
    assert "result.mat" in result.output


def test_identities_and_cameras_may_be_words(tmp_path):
    """A word is the same identity in every file, and words that are whole numbers are these numbers."""
    embeddings = np.eye(3)
    named = {"query": ["anna", "ben", "anna"], "gallery": ["ben", "carl", "anna"]}
    sides = {}
    for name, pids in named.items():
        np.savez(tmp_path / f"{name}.npz", embeddings=embeddings, pids=pids, camids=["door", "yard", "door"])
        sides[name] = read_npz(tmp_path / f"{name}.npz")
    numbers = dict(zip(named["query"] + named["gallery"], [*sides["query"].pids, *sides["gallery"].pids], strict=True))
    assert len(set(numbers.values())) == 3 and min(numbers.values()) > 0
    assert [numbers[pid] for pid in named["query"]] == sides["query"].pids.tolist()
    assert sides["query"].camids[0] == sides["query"].camids[2] == sides["gallery"].camids[0]
    np.savez(tmp_path / "numbers.npz", embeddings=embeddings, pids=["-1", "007", "7"])
    assert read_npz(tmp_path / "numbers.npz").pids.tolist() == [-1, 7, 7]
    # Whatever stands beside them, and however many digits they have.
    np.savez(tmp_path / "both.npz", embeddings=embeddings, pids=["-1", "1_21", "121"], camids=["0", "9" * 30, "door"])
    both = read_npz(tmp_path / "both.npz")
    assert both.pids[[0, 2]].tolist() == [-1, 121] and both.pids[1] > 2**62
    assert both.camids[0] == 0 and min(both.camids[1:]) >= 2**62 and both.camids[1] != both.camids[2]


def test_names_are_text_of_any_shape_or_refused(tmp_path):
    given = {"embeddings": np.eye(2), "pids": [1, 2]}
    for names, found in ((["a", "b"], ["a", "b"]), ([["a", "b"]], ["a", "b"]), ([7, 8], ["7", "8"])):
        np.savez(tmp_path / "names.npz", **given, names=names)
        assert read_npz(tmp_path / "names.npz").names.tolist() == found
    np.savez(tmp_path / "names.npz", **given, names=[b"a", b"b"])
    with pytest.raises(ValueError, match="the names have dtype .S1: they must be text"):
        read_npz(tmp_path / "names.npz")
