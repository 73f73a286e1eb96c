"""Embedding files, their scores, and the command that prints the scores."""

import json

import click
import h5py
import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner

from gaaplib import cli, metrics
from gaaplib.distances import METRICS
from gaaplib.evaluation import reranking
from gaaplib.evaluation.embedding_files import Side, describe, evaluate, read_mat, read_npz
from gaaplib.evaluation.statistics import bootstrap_mean


def arrays(seed=0, n=30, identities=5, dim=6, junk=0):
    """Embeddings in clusters of unequal lengths, identities from 0, cameras 1 and 2."""
    rng = np.random.default_rng(seed)
    pids = np.arange(n) % identities
    images = 2 * np.eye(identities, dim)[pids] + rng.normal(size=(n, dim))
    pids[:junk] = -1
    return {
        "embeddings": (images * rng.uniform(0.2, 3, size=(n, 1))).astype(np.float32),
        "pids": pids,
        "camids": rng.integers(1, 3, n),
    }


def save(path, **content):
    np.savez(path, **content)
    return path


@pytest.fixture
def files(tmp_path):
    """Query and gallery, the latter with three junk images."""
    return save(tmp_path / "q.npz", **arrays(1, 20)), save(tmp_path / "g.npz", **arrays(2, 60, junk=3))


def run(*arguments):
    return CliRunner().invoke(cli.main, ["evaluate", *map(str, arguments)])


def on(files, *options):
    return run("--query", files[0], "--gallery", files[1], *options)


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


def test_scores_are_those_of_the_metrics_without_junk(files):
    query, gallery = map(read_npz, files)
    report = evaluate(query, gallery, metric="euclidean", ap="trapezoid")
    kept = gallery.pids != -1
    expected = metrics.evaluate_embeddings(
        query.embeddings, gallery.embeddings[kept], query.pids, gallery.pids[kept], query.camids, gallery.camids[kept],
        metric="euclidean", ap="trapezoid",
    )  # fmt: skip
    assert report["scores"]["mAP"] == expected.mAP
    assert [report["scores"][f"cmc{k}"] for k in (1, 5, 10, 20)] == list(expected.cmc[[0, 4, 9, 19]])
    assert report["counts"] == {"queries": 20, "valid_queries": 20, "identities": 5, "gallery": 57, "junk": 3}
    for name, (low, high) in report["intervals"].items():
        assert 0 <= low <= report["scores"][name] <= high <= 1
        assert report["chance"][name] <= report["scores"][name]
    assert report["intervals"]["mAP"][0] < report["intervals"]["mAP"][1]


def test_intervals_resample_identities(files):
    query, gallery = map(read_npz, files)
    grouped = evaluate(query, gallery)["intervals"]["mAP"]
    kept = gallery.pids != -1
    alone = metrics.evaluate_embeddings(
        query.embeddings, gallery.embeddings[kept], query.pids, gallery.pids[kept], query.camids, gallery.camids[kept]
    )
    by_identity, by_query = bootstrap_mean(alone.ap, query.pids), bootstrap_mean(alone.ap)
    assert grouped == (by_identity.low, by_identity.high)
    assert grouped != (by_query.low, by_query.high)


def test_identity_zero_stays_in_the_gallery(files):
    query, gallery = map(read_npz, files)
    some = query.pids != 0
    query = Side("q", query.embeddings[some], query.pids[some], query.camids[some])
    assert evaluate(query, gallery)["counts"]["gallery"] == 57


def test_cameras_are_used_if_both_sides_have_them(files):
    query, gallery = map(read_npz, files)
    without = [Side(side.source, side.embeddings, side.pids, None) for side in (query, gallery)]
    used, ignored = evaluate(query, gallery), evaluate(query, gallery, cameras=False)
    assert used["conventions"]["cameras"]
    assert not ignored["conventions"]["cameras"]
    assert used["scores"] != ignored["scores"]
    assert evaluate(*without) == ignored
    assert evaluate(query, without[1], cameras=False) == ignored
    with pytest.raises(ValueError, match="g.npz has no cameras, but the other side has"):
        evaluate(query, without[1])


def test_re_ranking_equals_that_of_reranking(files):
    query, gallery = map(read_npz, files)
    kept = gallery.pids != -1
    distances = reranking.rerank(query.embeddings, gallery.embeddings[kept], metric="cosine")
    expected = metrics.evaluate_distances(distances, query.pids, gallery.pids[kept], query.camids, gallery.camids[kept])
    assert evaluate(query, gallery, rerank=True)["scores"]["mAP"] == expected.mAP


def test_one_identity_has_no_interval(files):
    query, gallery = map(read_npz, files)
    one = query.pids == 2
    report = evaluate(Side("q", query.embeddings[one], query.pids[one], query.camids[one]), gallery)
    assert report["intervals"]["mAP"] is None
    assert "Intervals: none, as they need at least two identities." in describe(report)


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


def test_what_is_printed(files):
    result = on(files, "--ap", "trapezoid", "--rerank")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == (
        "20 queries, 20 of them valid (with a match), of 5 identities; 57 gallery images, 3 junk images left out"
    )
    report = evaluate(*map(read_npz, files), ap="trapezoid", rerank=True)
    (low, high), score, chance = (report[part]["mAP"] for part in ("intervals", "scores", "chance"))
    assert f"mAP     {score:7.3f}  [{low:.3f}, {high:.3f}]  {chance:7.3f}" in lines
    assert [line.split()[0] for line in lines[3:9]] == ["mAP", "mINP", "CMC@1", "CMC@5", "CMC@10", "CMC@20"]
    conventions = " ".join(lines[9:])
    for named in ("cosine", "k-reciprocal, k1=20, k2=6, lambda=0.3", "AP: trapezoid", "camera left out"):
        assert named in conventions


def test_options_reach_the_evaluation(files):
    result = on(files, "--json", "--metric", "euclidean", "--no-cameras")
    expected = evaluate(*map(read_npz, files), metric="euclidean", cameras=False)
    assert json.loads(result.output) == json.loads(json.dumps(expected))


def test_the_choices_are_those_of_the_library():
    choices = {
        option.name: option.type.choices for option in cli.evaluate.params if isinstance(option.type, click.Choice)
    }
    assert set(choices["metric"]) == set(METRICS) == set(reranking.METRICS)
    assert set(choices["ap"]) == set(metrics.AP_CONVENTIONS)


@pytest.mark.parametrize("options", [(), ("--query", "q.npz"), ("--gallery", "g.npz"), ("--mat", "m", "--query", "q")])
def test_either_two_files_or_one(options):
    result = run(*options)
    assert result.exit_code == 2
    assert "give --query and --gallery, or --mat alone" in result.output


GOOD = arrays()


def changed(**content):
    return {name: values for name, values in {**GOOD, **content}.items() if values is not None}


def with_row(row, value):
    images = GOOD["embeddings"].copy()
    images[row] = value
    return images


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


def test_zeros_are_accepted_as_junk_and_with_euclidean_distance(tmp_path):
    query = save(tmp_path / "q.npz", **GOOD)
    zero = with_row(4, 0)
    assert on((query, save(tmp_path / "g.npz", **changed(embeddings=zero))), "--metric", "euclidean").exit_code == 0
    junk = np.where(np.arange(30) == 4, -1, GOOD["pids"])
    assert on((query, save(tmp_path / "g.npz", **changed(embeddings=zero, pids=junk)))).exit_code == 0


def test_a_junk_query_is_refused(tmp_path):
    files = save(tmp_path / "q.npz", **arrays(junk=2)), save(tmp_path / "g.npz", **GOOD)
    assert "q.npz has the identity -1 (junk) at row 0 (2 such rows)" in on(files).output


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
