"""The effect of each evaluation convention on one example, as a Markdown table: `python benchmarks/conventions.py`.

Without files, the example is generated from a fixed seed: random embeddings of different lengths, with what test sets
contain (junk, distractors, queries without a match in another camera). ``--query`` and ``--gallery`` use your own files
instead, in the format of ``gaap evaluate``.
"""

import click
import numpy as np

from gaaplib import metrics
from gaaplib.evaluation import embedding_files, embedding_scores

IDENTITIES, CAMERAS, DIM, NOISE = 100, 4, 32, 0.7


@click.command()
@click.option("--query", type=click.Path())
@click.option("--gallery", type=click.Path())
def main(query, gallery):
    """Print the table: the library's defaults, then one convention changed at a time."""
    if bool(query) != bool(gallery):
        raise click.UsageError("give both --query and --gallery, or neither")
    try:
        sides = (embedding_files.read_npz(query), embedding_files.read_npz(gallery)) if query else example()
        rows = table(*sides)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    print(describe(*sides))
    print()
    print("| convention | queries | mAP | CMC@1 | mINP |")
    print("|---|---|---|---|---|")
    for name, queries, *scores in rows:
        print(f"| {name} | {queries} | {' | '.join(f'{score:.3f}' for score in scores)} |")


def table(query, gallery):
    """Return the rows: convention, queries in the mean, mAP, CMC(1), mINP."""
    report = embedding_scores.evaluate(query, gallery)
    counts = report["counts"]
    rows = [row("library's defaults", report)]
    rows.append(row("AP: trapezoid", embedding_scores.evaluate(query, gallery, ap="trapezoid")))
    share = counts["valid_queries"] / counts["queries"]
    name, _, *scores = row("queries without a match counted as 0", report)
    rows.append((name, counts["queries"], *(share * score for score in scores)))
    rows.append(row("distance: euclidean", embedding_scores.evaluate(query, gallery, metric="euclidean")))
    rows.append(row("same camera left in", embedding_scores.evaluate(query, gallery, cameras=False)))
    if counts["junk"]:
        rows.append(with_junk(query, gallery))
    return rows


def with_junk(query, gallery):
    """Return the row in which junk (identity -1) stays in the gallery, as images that match no query."""
    scores = metrics.evaluate_embeddings(
        query.embeddings, gallery.embeddings, query.pids, gallery.pids, query.camids, gallery.camids
    )
    return "junk (identity -1) left in", scores.num_valid_queries, scores.mAP, scores.cmc[0], scores.mINP


def row(name, report):
    """Return one row from a report of :func:`gaaplib.evaluation.embedding_scores.evaluate`."""
    return name, report["counts"]["valid_queries"], *(report["scores"][key] for key in ("mAP", "cmc1", "mINP"))


def describe(query, gallery):
    """Return a sentence on the example."""
    without_cameras = "" if query.camids is not None else ", without cameras"
    return (
        f"{query.source} and {gallery.source}: {len(query.pids)} queries, {len(gallery.pids)} gallery images, "
        f"{np.sum(gallery.pids == embedding_files.JUNK)} of them junk{without_cameras}."
    )


def example(seed=0):
    """Return a generated query and gallery: each identity is in some cameras, with one query per camera."""
    rng = np.random.default_rng(seed)
    centres, views = rng.normal(size=(IDENTITIES, DIM)), 0.5 * rng.normal(size=(CAMERAS, DIM))
    pids, camids = np.repeat(np.arange(1, IDENTITIES + 1), 8), rng.integers(CAMERAS, size=8 * IDENTITIES)
    # One identity in ten is seen by one camera only, so its queries have no match in another camera.
    camids[pids % 10 == 0] = 0
    images = centres[pids - 1] + views[camids] + NOISE * rng.normal(size=(len(pids), DIM))
    first = np.unique(pids * CAMERAS + camids, return_index=True)[1]
    is_query = np.isin(np.arange(len(pids)), first)
    # Distractors (0) are other people; junk (-1) is a bad box around a person of the gallery.
    distractors = rng.normal(size=(200, DIM)) * np.sqrt(1 + NOISE**2)
    junk = images[~is_query][rng.integers(np.sum(~is_query), size=200)] + NOISE * rng.normal(size=(200, DIM))
    others = np.concatenate([distractors, junk])
    other_pids, other_camids = np.repeat([0, embedding_files.JUNK], 200), rng.integers(CAMERAS, size=400)
    others += views[other_camids]
    gallery = np.concatenate([images[~is_query], others])
    query, gallery = (side * rng.lognormal(0, 0.3, size=(len(side), 1)) for side in (images[is_query], gallery))
    gallery_pids = np.concatenate([pids[~is_query], other_pids])
    gallery_camids = np.concatenate([camids[~is_query], other_camids])
    return (
        embedding_files.Side("synthetic queries", query, pids[is_query], camids[is_query]),
        embedding_files.Side("synthetic gallery", gallery, gallery_pids, gallery_camids),
    )


if __name__ == "__main__":
    main()
