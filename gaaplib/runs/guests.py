"""A method from elsewhere, known by its embeddings alone, on the same queries as a run and paired with it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gaaplib import metrics
from gaaplib.datasets.records import known_cameras
from gaaplib.evaluation import statistics
from gaaplib.runs import scores as run_scores
from gaaplib.runs.data import Data, check_images
from gaaplib.runs.folder import Run


@dataclass(frozen=True)
class Guest:
    """The scores of a method from elsewhere.

    Attributes:
        name: of the method.
        run: the run that it is beside, which gives the images, the conventions and the other half of each pair.
        scores: :class:`gaaplib.metrics.RetrievalScores` on the run's queries.
    """

    name: str
    run: Run
    scores: metrics.RetrievalScores

    def interval(self, title="mAP"):
        """A score with its 95 % bootstrap interval; ``title`` is a key of ``gaaplib.runs.MEASURES``."""
        return statistics.bootstrap_mean(self._values(title), self._groups)

    def difference(self, title="mAP"):
        """How far the method is ahead of the run, query by query: :class:`gaaplib.evaluation.statistics.Interval`."""
        theirs, _ = run_scores.values(self.run, "retrieval", title)
        return statistics.paired_difference(self._values(title), theirs, self._groups)

    def beside_run(self, titles=("CMC(1)", "mAP")):
        """Both scores as text, and the difference: a DataFrame with the index ``titles``.

        Columns: ``yours`` and ``run``, scores with their intervals; ``difference``, ``low``, ``high`` and ``verdict``.
        """
        rows = {}
        for title in titles:
            found, theirs = self.difference(title), run_scores.interval(self.run, "retrieval", title)
            numbers = found.estimate, found.low, found.high, found.verdict
            rows[title] = str(self.interval(title)), str(theirs), *numbers
        columns = ["yours", "run", "difference", "low", "high", "verdict"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    @property
    def _groups(self):
        queries = self.run.per_query
        return queries["pid"][queries["valid"]]

    def _values(self, title):
        queries = {name: getattr(self.scores, name) for name in ("ap", "inp", "first_hit")}
        return run_scores.MEASURES[title][1](queries)[self.scores.valid]


def scored(name, run, data: Data, query, gallery):
    """Return the :class:`Guest` of a method, scored as the run was.

    Args:
        name: of the method.
        run: a finished run with retrieval scores.
        data: its images, :func:`gaaplib.runs.data.load_data`.
        query, gallery: embeddings, (n, dim) each, in the order of ``data.part("query")`` and ``data.part("gallery")``;
            :func:`in_order` brings saved ones into it.

    Raises:
        ValueError: the run has no retrieval scores, or was scored on other images; another number of embeddings than
            images; what :func:`gaaplib.metrics.evaluate_embeddings` refuses.
    """
    if run.metrics["retrieval"] is None:
        raise ValueError(f"{run.folder.name} has no retrieval scores to compare with: it is {run.metrics['status']}")
    check_images(run, data)
    sides = {role: data.part(role) for role in ("query", "gallery")}
    for (role, table), embeddings in zip(sides.items(), (query, gallery), strict=True):
        if len(embeddings) != len(table):
            raise ValueError(f"{len(embeddings)} {role} embeddings for {len(table)} {role} images: give one for each")
    cameras = known_cameras(*(table.camid for table in sides.values()))
    found = metrics.evaluate_embeddings(
        query,
        gallery,
        *(table.pid.to_numpy() for table in sides.values()),
        *cameras,
        metric=run.config.distance,
        ap=run.config.ap,
    )
    return Guest(name, run, found)


def in_order(side, table):
    """Return saved embeddings in the order of a table of images.

    Args:
        side: from :func:`gaaplib.evaluation.embedding_files.read_npz`. With ``names``, which are the ends of the
            images' paths, it may be in any order and have more; without, it has to have the order of the table.
        table: DataFrame with ``path`` and ``pid``.

    Raises:
        ValueError: an image without embedding, or another identity than the table's; the message names it.
    """
    if side.names is None:
        if len(side.pids) != len(table) or not np.array_equal(side.pids, table.pid):
            raise ValueError(
                f"{side.source} has no names and not the identities of the {len(table)} images in their order: save "
                "the images' file names beside the embeddings, as `names`"
            )
        return side.embeddings
    places = {str(name): place for place, name in enumerate(side.names)}
    if len(places) < len(side.names):
        names, counts = np.unique(side.names, return_counts=True)
        raise ValueError(
            f"{side.source} has {counts.max()} embeddings named {names[counts.argmax()]}: give longer names"
        )
    found = [_place(path, places) for path in table.path]
    missing = [path for path, place in zip(table.path, found, strict=True) if place is None]
    if missing:
        raise ValueError(f"{side.source} lacks {len(missing)} of {len(table)} images, such as {missing[0]}")
    order = np.array(found)
    wrong = np.flatnonzero(side.pids[order] != table.pid.to_numpy())
    if len(wrong):
        at = wrong[0]
        told, known = side.person(side.pids[order[at]]), table.pid.iloc[at]
        raise ValueError(f"{side.source}: {table.path.iloc[at]} has the identity {told}, the data set says {known}")
    return side.embeddings[order]


def _place(path, places):
    """The place of the longest name that is an end of this path; None if there is none."""
    parts = path.split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((places[end] for end in ends if end in places), None)
