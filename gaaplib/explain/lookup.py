"""Looking images up by a run's model: who is nearest to whom, is it the same person, and the sheets that show it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gaaplib import metrics, runs
from gaaplib.datasets import folder as photograph_folder
from gaaplib.datasets.images import open_store
from gaaplib.datasets.records import DISTRACTOR, known_cameras
from gaaplib.distances import EmbeddingDistances, pairwise_distances
from gaaplib.evaluation import verification
from gaaplib.explain import heatmaps
from gaaplib.explain import plots as map_plots
from gaaplib.methods import METHODS
from gaaplib.project import outputs_folder
from gaaplib.runs.data import load_data
from gaaplib.training import fit


class Ranking(NamedTuple):
    """The gallery images nearest to a query, nearest first.

    Attributes:
        places: (k,) in the gallery.
        distances: (k,).
        states: for each ``"match"``, ``"wrong"``, ``"junk"`` (the query's identity in its own camera, which no
            evaluation ranks) or None, where nobody knows.
    """

    places: np.ndarray
    distances: np.ndarray
    states: list


class Decision(NamedTuple):
    """Whether two images show one person, and what that rests on; printed, it is a sentence.

    Attributes:
        distance: of the two images.
        point: the :class:`gaaplib.evaluation.verification.OperatingPoint`: threshold and rates.
        num_impostor: pairs of different people that the rate of false acceptance was counted on.
    """

    distance: float
    point: verification.OperatingPoint
    num_impostor: int

    @property
    def same(self):
        """The verdict: the distance is at most the threshold."""
        return self.distance <= self.point.threshold

    def __str__(self):
        true_rate, false_rate, threshold = self.point
        verdict, side = ("Yes", "within") if self.same else ("No", "beyond")
        return (
            f"The same person? {verdict}: their distance of {self.distance:.3f} is {side} the threshold of "
            f"{threshold:.3f}, which accepts {false_rate:.2%} of the run's {self.num_impostor:,} pairs of different "
            f"people and {true_rate:.1%} of its pairs of one person."
        )


@dataclass(frozen=True, eq=False)
class Images:
    """Images, what is known of them, and what the model makes of them.

    Attributes:
        store: uint8 (m, height, width, 3), such as a memory map.
        rows: (n,) which of them.
        names: n paths, as their folder has them.
        pids: (n,) identities; ``DISTRACTOR`` where unknown.
        camids: (n,) cameras; ``UNKNOWN_CAMERA`` where unknown.
        embeddings: float32 (n, dim).
    """

    store: np.ndarray
    rows: np.ndarray
    names: list
    pids: np.ndarray
    camids: np.ndarray
    embeddings: np.ndarray

    def pixels(self, places):
        """uint8 (..., height, width, 3) of a place or of some."""
        return self.store[self.rows[places]]


@dataclass(frozen=True, eq=False)
class Index:
    """Images to look up, by the model of a run: the run's own (:meth:`of_run`), or photographs (:meth:`of_folder`).

    Attributes:
        run, model: the run and its model.
        queries, gallery: :class:`Images`; of a folder, both are all of its photographs.
        order: places of the queries in the order to offer them: by AP, the best first and those without a match last.
        ap: (n,) AP of each query, NaN where it has none; None for a folder.
    """

    run: runs.Run
    model: object
    queries: Images
    gallery: Images
    order: np.ndarray
    ap: np.ndarray | None = None

    @classmethod
    def of_run(cls, run, *, outputs=None):
        """The queries and the gallery that the run was scored on.

        Raises:
            FileNotFoundError, ValueError: the images are not there, or are not those that the run was scored on.
        """
        data = load_data(run.config, outputs=outputs)
        model, tables, scores = run.model(), [data.part(role) for role in ("query", "gallery")], run.per_query
        if not all(np.array_equal(scores[name], tables[0][name]) for name in ("pid", "camid", "row")):
            raise ValueError(f"{run.folder.name} was scored on other images than {data.root} has now: repeat the run")
        queries, gallery = (_embedded(model, data.store.images, table) for table in tables)
        ap = np.where(scores["valid"], scores["ap"], np.nan)
        return cls(run, model, queries, gallery, np.argsort(-ap, kind="stable"), ap)

    @classmethod
    def of_folder(cls, run, folder, *, outputs=None, progress=False):
        """The photographs of a folder, of any sizes, each a query among the others.

        Args:
            run: whose model to take.
            folder: as :func:`gaaplib.datasets.folder.photographs` reads it.
            outputs: folder for the decoded images; None: :func:`gaaplib.project.outputs_folder`.
            progress: show a bar while decoding.

        Raises:
            FileNotFoundError: no images.
            ValueError: a table that is wrong, or images that cannot be decoded.
        """
        records, size = photograph_folder.photographs(folder), (run.config.height, run.config.width)
        cache = Path(outputs or outputs_folder()) / "cache"
        store = open_store(photograph_folder.image_folder(folder), records, *size, cache, progress=progress)
        model = run.model()
        images = _embedded(model, store.images, store.records)
        return cls(run, model, images, images, np.arange(len(images.rows)))

    @property
    def is_folder(self):
        """Whether the queries are their own gallery."""
        return self.queries is self.gallery

    @property
    def is_synthetic(self):
        """Whether the images were drawn."""
        return not self.is_folder and self.run.config.is_synthetic

    @property
    def has_maps(self):
        """Whether there is a network whose attention can be shown."""
        return METHODS[self.run.config.method].learns

    def rank(self, query, top=10):
        """The gallery's images nearest to a query: :class:`Ranking`.

        Args:
            query: place in the queries, which is left out of a folder's ranking; or any image, uint8 (height, width,
                3) of the model's size.
            top: how many at most.
        """
        place = query if isinstance(query, int | np.integer) else None
        embedding = self.queries.embeddings[place] if place is not None else self._embed(query[None])[0]
        distances = self._distances(embedding[None], self.gallery.embeddings)[0]
        itself = np.arange(len(distances)) == place if self.is_folder and place is not None else None
        order = nearest(distances, top, itself)
        return Ranking(order, distances[order], self._states(place, order))

    def same_person(self, image, other, far=0.01):
        """Whether two images show one person: :class:`Decision`.

        The threshold is the largest that accepts at most ``far`` of the impostors: of the pairs, a query and a gallery
        image of the run, that show different people.

        Args:
            image, other: uint8 (height, width, 3), of the model's size.
            far: the rate of false acceptance that is put up with, from 0 to 1.

        Raises:
            ValueError: an index of a folder, which knows no impostors; a rate that is none.
        """
        if self.is_folder:
            raise ValueError("the threshold comes from the run's own images: ask Index.of_run(run)")
        curve, one, two = self._curve, *self._embed(np.stack([image, other]))
        distance = float(self._distances(one[None], two[None])[0, 0])
        return Decision(distance, curve.at(far), curve.num_impostor)

    def maps(self, images, kind, *, others=None, position=None, layer=None):
        """Heat maps of images, see :func:`gaaplib.explain.heatmaps.heatmap`; the position is the middle by default."""
        if kind == "rollout" and position is None:
            position = tuple(size // 2 for size in heatmaps.grid(self.model))
        return heatmaps.heatmap(self.model, images, kind, others=others, position=position, layer=layer)

    @cached_property
    def _curve(self):
        sides, config = (self.queries, self.gallery), self.run.config
        camids = known_cameras(*(side.camids for side in sides))
        distances = EmbeddingDistances(*(side.embeddings for side in sides), config.distance)
        return verification.evaluate_verification(distances, *(side.pids for side in sides), *camids)

    def _embed(self, images):
        return fit.embed(self.model, images, np.arange(len(images)))["embedding"]

    def _distances(self, one, two):
        return pairwise_distances(one, two, metric=self.run.config.distance)

    def _states(self, place, order):
        if place is None or self.queries.pids[place] == DISTRACTOR:
            return [None] * len(order)
        sides = (self.queries.pids[[place]], self.gallery.pids, self.queries.camids[[place]], self.gallery.camids)
        return states(*sides)[0, order].tolist()


def nearest(distances, top, left_out=None):
    """The gallery images nearest to one query: their places, nearest first, equally near ones in gallery order.

    Args:
        distances: (num_gallery,).
        top: how many at most.
        left_out: booleans (num_gallery,), such as of junk; None: nothing is left out.
    """
    order = np.argsort(distances, kind="stable")
    return (order if left_out is None else order[~left_out[order]])[:top]


def states(query_pids, gallery_pids, query_camids, gallery_camids):
    """What each gallery image is to each query: ``"match"``, ``"wrong"`` or ``"junk"``, (num_queries, num_gallery).

    Args:
        query_pids, gallery_pids: identities, (num_queries,) and (num_gallery,).
        query_camids, gallery_camids: cameras, ``UNKNOWN_CAMERA`` where unknown; see
            :func:`gaaplib.datasets.records.known_cameras`.
    """
    identities = metrics.Identities(query_pids, gallery_pids, *known_cameras(query_camids, gallery_camids))
    found = np.full(identities.shape, "wrong")
    for query, row in enumerate(found):
        own, junk = identities.of(query)
        row[own] = np.where(junk, "junk", "match")
    return found


def ranking_sheet(index, query, kind=None, *, layer=None, position=None, top=10):
    """A figure of a query and its nearest gallery images, framed by what they are, and their maps beneath.

    Args:
        index: an :class:`Index`.
        query: as of :meth:`Index.rank`.
        kind: of the maps, as of :func:`gaaplib.explain.heatmaps.heatmap`; None: images only. For the match, each
            gallery image is compared with the query, and the query with the nearest.
        layer, position: as of :meth:`Index.maps`.
        top: how many gallery images.
    """
    ranking = index.rank(query, top)
    image = query if isinstance(query, np.ndarray) else index.queries.pixels(query)
    gallery, maps, title = index.gallery.pixels(ranking.places), None, None
    if kind is not None:
        images = np.stack([image, *gallery])
        others = np.stack([gallery[0] if len(gallery) else image, *[image] * len(gallery)])
        maps = index.maps(images, kind, others=others, position=position, layer=layer)
        title = f"{kind} of {layer} of the backbone" if layer else heatmaps.KINDS[kind].rstrip(".")
    return map_plots.match_sheet(
        image, gallery, ranking.states, ranking.distances, maps=maps, title=title, synthetic=index.is_synthetic
    )


def pair_sheet(index, image, other):
    """A figure of two images, where attention goes in each, and what makes each similar to the other.

    Args:
        index: an :class:`Index`.
        image, other: uint8 (height, width, 3), of the model's size.
    """
    images = np.stack([image, other])
    maps = {kind: index.maps(images, kind, others=images[::-1]) for kind in ("received", "gradcam_match")}
    return map_plots.map_sheet(images, maps, labels=["first", "second"], synthetic=index.is_synthetic)


def ranked_examples(run, data, *, queries=5, top=10):
    """Queries from the best ranked to the worst, each with its nearest gallery images.

    Args:
        run: a finished run.
        data: the :class:`Data` that it was evaluated on.
        queries: how many, at equal steps of the valid queries sorted by AP.
        top: how many gallery images of each.

    Returns:
        A list of ``(image, ap, [(gallery image, is_match), ...])``, nearest first; the gallery images of the query's
        identity and camera are left out, as in the evaluation.
    """
    per_query, table = run.per_query, data.part("query")
    by_ap = np.argsort(-np.where(per_query["valid"], per_query["ap"], np.nan), kind="stable")
    by_ap = by_ap[: per_query["valid"].sum()]
    chosen = by_ap[np.linspace(0, len(by_ap) - 1, min(queries, len(by_ap))).astype(int)]
    gallery = data.part("gallery")
    model, images = run.model(), data.store.images
    query_rows = table.row.to_numpy()[chosen]
    embedded = [fit.embed(model, images, rows)["embedding"] for rows in (query_rows, gallery.row.to_numpy())]
    distances = pairwise_distances(*embedded, metric=run.config.distance)
    what = states(*(side[name] for name in ("pid", "camid") for side in (table.iloc[chosen], gallery)))
    examples = []
    for place, row, of_query in zip(chosen, distances, what, strict=True):
        order = nearest(row, top, of_query == "junk")
        shown = [(images[gallery.row.iloc[n]], bool(of_query[n] == "match")) for n in order]
        examples.append((images[table.row.iloc[place]], float(per_query["ap"][place]), shown))
    return examples


def _embedded(model, store, table):
    """:class:`Images` of some rows of a table of records."""
    rows = table.row.to_numpy()
    embeddings = fit.embed(model, store, rows)["embedding"]
    return Images(store, rows, table.path.tolist(), table.pid.to_numpy(), table.camid.to_numpy(), embeddings)
