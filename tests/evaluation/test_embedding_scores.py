"""Scores of saved embeddings, and the command that prints them."""

import json

import click
import numpy as np
import pytest
from saved_embeddings import GOOD, arrays, changed, on, run, save, with_row

from gaaplib import cli, metrics
from gaaplib.distances import METRICS
from gaaplib.evaluation import reranking
from gaaplib.evaluation.embedding_files import Side, read_npz
from gaaplib.evaluation.embedding_scores import describe, evaluate
from gaaplib.evaluation.statistics import bootstrap_mean


@pytest.fixture
def files(tmp_path):
    """Query and gallery, the latter with three junk images."""
    return save(tmp_path / "q.npz", **arrays(1, 20, 10, 12)), save(tmp_path / "g.npz", **arrays(2, 60, 10, 12, junk=3))


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
    assert report["counts"] == {
        "queries": 20,
        "valid_queries": 20,
        "identities": 10,
        "gallery": 57,
        "junk": 3,
        "itself": 0,
    }
    for name, (low, high) in report["intervals"].items():
        assert 0 <= low <= report["scores"][name] <= high <= 1
    assert report["intervals"]["mAP"][0] < report["intervals"]["mAP"][1]
    labels = (query.pids, gallery.pids[kept], query.camids, gallery.camids[kept])
    assert report["chance"]["mAP"] == metrics.expected_by_chance(*labels, ap="trapezoid").mAP


def test_people_with_names_are_named_where_no_query_has_a_match(tmp_path):
    sides = [
        read_npz(save(tmp_path / f"{name}.npz", embeddings=np.eye(3), pids=np.array(pids)))
        for name, pids in (("q", ["anna", "anna", "7"]), ("g", ["ben", "carl", "-1"]))
    ]
    with pytest.raises(ValueError) as refused:
        evaluate(*sides)
    assert "q.npz (such as 7, anna) is in" in str(refused.value)
    assert "(such as ben, carl)" in str(refused.value) or "(such as carl, ben)" in str(refused.value)


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
    assert "Intervals: none, as 1 identities are too few (10 are needed)." in describe(report)


def test_what_is_printed(files):
    result = on(files, "--ap", "trapezoid", "--rerank")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == (
        "20 queries, 20 of them valid (with a match), of 10 identities; 57 gallery images, 3 junk images (identity -1) "
        "left out"
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


def test_zeros_are_accepted_as_junk_and_with_euclidean_distance(tmp_path):
    query = save(tmp_path / "q.npz", **GOOD)
    zero = with_row(4, 0)
    assert on((query, save(tmp_path / "g.npz", **changed(embeddings=zero))), "--metric", "euclidean").exit_code == 0
    junk = np.where(np.arange(30) == 4, -1, GOOD["pids"])
    assert on((query, save(tmp_path / "g.npz", **changed(embeddings=zero, pids=junk)))).exit_code == 0


def test_a_junk_query_is_refused(tmp_path):
    files = save(tmp_path / "q.npz", **arrays(junk=2)), save(tmp_path / "g.npz", **GOOD)
    assert "q.npz has the identity -1 (junk) at row 0 (2 such rows)" in on(files).output


def by_deletion(content):
    """Scores of images as queries of each other: the AP of each, with the image itself deleted from the gallery."""
    found = []
    for row, (embedding, pid) in enumerate(zip(content["embeddings"], content["pids"], strict=True)):
        rest = np.delete(content["embeddings"], row, axis=0), np.delete(content["pids"], row)
        found.append(metrics.evaluate_embeddings(embedding[None], rest[0], [pid], rest[1]).mAP)
    return np.mean(found)


def test_an_image_never_finds_itself(tmp_path):
    content = changed(camids=None)
    file = save(tmp_path / "a.npz", **content)
    side = read_npz(file)
    report = evaluate(side, side)
    assert report["counts"]["itself"] == 30
    assert report["scores"]["mAP"] == pytest.approx(by_deletion(content))
    chance = metrics.expected_by_chance(side.pids[:1], side.pids[1:]).mAP
    assert report["chance"]["mAP"] == pytest.approx(chance)
    result = on((file, file))
    assert "30 queries are gallery images too: each is left out of its own ranking" in result.output
    assert "warning" not in result.output


def test_an_image_is_known_by_its_name_and_embedding(tmp_path):
    names = np.array([f"{number}.jpg" for number in range(30)])
    content = changed(camids=None, names=names)
    query = read_npz(save(tmp_path / "q.npz", **{name: values[10:14] for name, values in content.items()}))
    gallery = read_npz(save(tmp_path / "g.npz", **content))
    assert evaluate(query, gallery)["counts"]["itself"] == 4
    other = Side("g", np.roll(gallery.embeddings, 1, axis=0), gallery.pids, None, gallery.names)
    with pytest.warns(UserWarning, match="4 queries of .*q.npz have the embedding of an image of g, number by number"):
        assert evaluate(query, other)["counts"]["itself"] == 0


def test_re_ranking_refuses_images_that_are_on_both_sides(tmp_path):
    file = save(tmp_path / "a.npz", **changed(camids=None))
    result = on((file, file), "--rerank")
    assert result.exit_code == 1
    assert "30 images of" in result.output and "save queries and gallery apart" in result.output


def test_collapsed_embeddings_have_no_scores(tmp_path):
    alike = np.tile(GOOD["embeddings"][:1], (30, 1))
    files = [save(tmp_path / f"{side}.npz", **changed(embeddings=alike)) for side in "qg"]
    result = on(files)
    assert result.exit_code == 1
    assert "have collapsed embeddings: all 60 embeddings are alike" in result.output
    assert "mAP" not in result.output


def test_embeddings_that_differ_in_length_alone_are_scored_by_the_euclidean_distance_only():
    pids = np.arange(12) % 4
    lengths = (pids[:, None] + 1.0 + np.linspace(0.0, 0.1, 12)[:, None]) * np.ones(8)
    query, gallery = (
        Side(name, lengths[rows], pids[rows], None) for name, rows in (("q", slice(6)), ("g", slice(6, 12)))
    )
    assert evaluate(query, gallery, metric="euclidean")["scores"]["mAP"] == 1.0
    with pytest.raises(ValueError, match="have collapsed embeddings"):
        evaluate(query, gallery, metric="cosine")
