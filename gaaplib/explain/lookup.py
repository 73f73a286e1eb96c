"""Retrieval with the model of a run: the nearest images, whether two images show the same person, and figures."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gaaplib import metrics, runs
from gaaplib.datasets import folder as photograph_folder
from gaaplib.datasets import inputs, keypoints
from gaaplib.datasets.images import open_store
from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA, known_cameras, person
from gaaplib.evaluation import candidates, verification
from gaaplib.explain import heatmaps
from gaaplib.explain import plots as map_plots
from gaaplib.methods import METHODS
from gaaplib.project import outputs_folder
from gaaplib.runs.data import check_images, load_data
from gaaplib.training import fit

CANDIDATES_PER_IMAGE = 10
"""How many candidates an approximate index ranks for each image that it is asked for."""


class Ranking(NamedTuple):
    """The gallery images nearest to a query, nearest first.

    Attributes:
        places: (k,) indices in the gallery.
        distances: (k,).
        states: for each, ``"match"``, ``"wrong"``, ``"same camera"`` (the query's identity and camera, which
            evaluations leave out) or None if unknown.
    """

    places: np.ndarray
    distances: np.ndarray
    states: list

    @property
    def ranks(self):
        """The rank of each as evaluations count it, from 1; None for those of the same camera."""
        return map_plots.ranks(self.states)


class Decision(NamedTuple):
    """Whether two images show the same person, with the threshold and its error rates; ``str`` gives a sentence.

    Attributes:
        distance: of the two images.
        point: the :class:`gaaplib.evaluation.verification.OperatingPoint`: threshold and rates.
        num_impostor: number of pairs of different people from which the false accept rate was computed.
    """

    distance: float
    point: verification.OperatingPoint
    num_impostor: int

    @property
    def same(self):
        """Whether the distance is at most the threshold."""
        return self.distance <= self.point.threshold

    def __str__(self):
        true_rate, false_rate, threshold = self.point
        verdict, side = ("Yes", "within") if self.same else ("No", "beyond")
        return (
            f"The same person? {verdict}: their distance of {self.distance:.3f} is {side} the threshold of "
            f"{threshold:.3f}, which accepts {false_rate:.2%} of the run's {self.num_impostor:,} pairs of different "
            f"people and {true_rate:.1%} of its pairs of the same person."
        )


@dataclass(frozen=True, eq=False)
class Images:
    """Images with their labels and embeddings.

    Attributes:
        store: uint8 (m, height, width, 3), such as a memory map; or :class:`gaaplib.datasets.inputs.Inputs`.
        rows: (n,) rows of the store that hold these images.
        names: n paths, relative to their folder.
        pids: (n,) identities; ``DISTRACTOR`` if unknown.
        camids: (n,) cameras; ``UNKNOWN_CAMERA`` if unknown.
        outputs: arrays (n, ...) of the model that are compared, ``"embedding"`` among them.
        persons: n names, or numbers where there are no names.
    """

    store: np.ndarray
    rows: np.ndarray
    names: list
    pids: np.ndarray
    camids: np.ndarray
    outputs: dict
    persons: list

    @property
    def embeddings(self):
        """float32 (n, dim)."""
        return self.outputs["embedding"]

    def pixels(self, places):
        """The pixels of one index or of an array of indices, uint8 (..., height, width, 3)."""
        return inputs.pixels(self.store)[self.rows[places]]

    def seen(self, places):
        """What the model sees of an array of indices: the images, with what is beside them."""
        return self.store[self.rows[places]]


@dataclass(frozen=True, eq=False)
class Index:
    """Queries and a gallery with the embeddings of a run's model.

    The images are those of the run (:meth:`of_run`) or photographs (:meth:`of_folder`).

    Attributes:
        run, model: the run and its model.
        queries, gallery: :class:`Images`. For a folder, both are all of its photographs.
        order: indices of the queries in the order to list them: highest AP first, queries without a match last.
        ap: (n,) AP of each query, NaN if it has no match; None for a folder.
        approximate: whether only the candidates of FAISS are ranked (:mod:`gaaplib.evaluation.candidates`), which is
            fast for galleries of some 100,000 images and more, and misses some images; see :meth:`recall`. The
            distances of those that are found are exact.
    """

    run: runs.Run
    model: object
    queries: Images
    gallery: Images
    order: np.ndarray
    ap: np.ndarray | None = None
    approximate: bool = False

    @classmethod
    def of_run(cls, run, *, outputs=None, approximate=False):
        """The index of the queries and the gallery that the run was scored on.

        Args:
            run: a finished run with a model.
            outputs: the folder of all outputs. None: :func:`gaaplib.project.outputs_folder`.
            approximate: as the attribute.

        Raises:
            ImportError: ``approximate``, and FAISS is not installed.
            FileNotFoundError, ValueError: the images are missing, or differ from those that the run was scored on;
                ``approximate`` with a method that compares more than embeddings.
        """
        _check_approximate(approximate, run)
        data = load_data(run.config, outputs=outputs)
        check_images(run, data)
        model, tables, scores = run.model(), [data.part(role) for role in ("query", "gallery")], run.per_query
        compared = METHODS[run.config.method].compared
        queries, gallery = (_embedded(model, data.inputs, table, compared) for table in tables)
        ap = np.where(scores["valid"], scores["ap"], np.nan)
        return cls(run, model, queries, gallery, np.argsort(-ap, kind="stable"), ap, approximate)

    @classmethod
    def of_folder(cls, run, folder, *, outputs=None, progress=False, approximate=False):
        """The index of a folder of photographs of any sizes; each photograph is a query, and the others its gallery.

        Args:
            run: the run whose model computes the embeddings.
            folder: a folder as :func:`gaaplib.datasets.folder.photographs` reads it.
            outputs: the folder of all outputs, where the decoded images are cached. None:
                :func:`gaaplib.project.outputs_folder`.
            progress: show a progress bar while decoding.
            approximate: as the attribute.

        Raises:
            ImportError: as :meth:`of_run`.
            FileNotFoundError: the folder has no images.
            ValueError: its table is invalid, or images cannot be decoded.
        """
        _check_approximate(approximate, run)
        model, size = run.model(), (run.config.height, run.config.width)
        compared = METHODS[run.config.method].compared
        images = embedded_folder(model, folder, *size, compared=compared, outputs=outputs, progress=progress)
        return cls(run, model, images, images, np.arange(len(images.rows)), approximate=approximate)

    @property
    def is_folder(self):
        """Whether the gallery is the queries themselves, as for a folder."""
        return self.queries is self.gallery

    @property
    def has_maps(self):
        """Whether there are heat maps: the colour histogram and a model from elsewhere have none."""
        return METHODS[self.run.config.method].has_maps

    @property
    def is_synthetic(self):
        """Whether the images are synthetic."""
        return not self.is_folder and self.run.config.is_synthetic

    def rank(self, query, top=10):
        """The :class:`Ranking` of the gallery images nearest to a query.

        Args:
            query: index of a query, which is left out of its own ranking in a folder; or any image, uint8 (height,
                width, 3), of the model's size.
            top: number of images, at most.
        """
        row = query if isinstance(query, int | np.integer) else None
        own = _some(self.queries.outputs, [row]) if row is not None else self._embed(query[None])
        gallery, places = self.gallery.outputs, np.arange(len(self.gallery.rows))
        if self.approximate:
            found = self._candidates.near(own["embedding"], CANDIDATES_PER_IMAGE * top)[0]
            # In gallery order, which decides ties.
            places = np.sort(found[found >= 0])
            gallery = _some(gallery, places)
        distances = self._distances(own, gallery).matrix()[0]
        order = nearest(distances, top, places == row if self.is_folder and row is not None else None)
        return Ranking(places[order], distances[order], self._states(row, places[order]))

    def recall(self, top=10, queries=200):
        """The share of the nearest images that an approximate index finds, measured on some of the queries.

        Args:
            top: how many of the nearest images of each query count.
            queries: number of queries, at most, at equal steps.
        """
        number = len(self.queries.rows)
        chosen = np.unique(np.linspace(0, number - 1, min(queries, number)).astype(int))
        itself = chosen if self.is_folder else None
        among = CANDIDATES_PER_IMAGE * top
        return self._candidates.recall(self.queries.embeddings[chosen], top, among=among, itself=itself)

    def same_person(self, image, other, far=0.01):
        """The :class:`Decision` on whether two images show the same person.

        The threshold is the largest that accepts at most the share ``far`` of the run's impostor pairs, which are the
        pairs of a query and a gallery image that show different people.

        Args:
            image, other: uint8 (height, width, 3), of the model's size.
            far: the accepted false accept rate, from 0 to 1.

        Raises:
            ValueError: the index is of a folder, which has no impostor pairs, or ``far`` is not from 0 to 1.
        """
        if self.is_folder:
            raise ValueError("the threshold comes from the run's own images: use Index.of_run(run)")
        curve, both = self._curve, self._embed(np.stack([image, other]))
        distance = float(self._distances(_some(both, [0]), _some(both, [1])).matrix()[0, 0])
        return Decision(distance, curve.at(far), curve.num_impostor)

    def maps(self, images, kind, *, others=None, position=None, layer=None):
        """Heat maps of images; see :func:`gaaplib.explain.heatmaps.heatmap`. The default position is the centre."""
        if kind == "rollout" and position is None:
            position = tuple(size // 2 for size in heatmaps.grid(self.model))
        return heatmaps.heatmap(self.model, images, kind, others=others, position=position, layer=layer)

    @cached_property
    def _candidates(self):
        return candidates.Candidates(self.gallery.embeddings, self.run.config.distance)

    @cached_property
    def _curve(self):
        sides = self.queries, self.gallery
        camids = known_cameras(*(side.camids for side in sides))
        distances = self._distances(*(side.outputs for side in sides))
        return verification.evaluate_verification(distances, *(side.pids for side in sides), *camids)

    def _embed(self, images):
        return fit.embed(self.model, images, np.arange(len(images)))

    def _distances(self, one, two):
        config = self.run.config
        return METHODS[config.method].distances(one, two, config.distance, self.model)

    def _states(self, query, order):
        if query is None or self.queries.pids[query] == DISTRACTOR:
            return [None] * len(order)
        camids = self.queries.camids[[query]], self.gallery.camids[order]
        if known_cameras(self.queries.camids, self.gallery.camids)[0] is None:
            # Even if those of these few images are known.
            camids = tuple(np.full_like(some, UNKNOWN_CAMERA) for some in camids)
        sides = self.queries.pids[[query]], self.gallery.pids[order], *camids
        return states(*sides)[0].tolist()


def nearest(distances, top, left_out=None):
    """Indices of the gallery images nearest to one query, nearest first, ties in gallery order.

    Args:
        distances: (num_gallery,).
        top: number of images, at most.
        left_out: booleans (num_gallery,) of images to leave out, such as those of the same camera. None: none.
    """
    order = np.argsort(distances, kind="stable")
    return (order if left_out is None else order[~left_out[order]])[:top]


def states(query_pids, gallery_pids, query_camids, gallery_camids):
    """``"match"``, ``"wrong"`` or ``"same camera"`` for each query and gallery image, (num_queries, num_gallery).

    Args:
        query_pids, gallery_pids: identities, (num_queries,) and (num_gallery,).
        query_camids, gallery_camids: cameras, ``UNKNOWN_CAMERA`` if unknown; see
            :func:`gaaplib.datasets.records.known_cameras`.
    """
    identities = metrics.Identities(query_pids, gallery_pids, *known_cameras(query_camids, gallery_camids))
    table = np.full(identities.shape, "wrong", object)
    for query, row in enumerate(table):
        own, junk = identities.of(query)
        row[own] = np.where(junk, "same camera", "match")
    return table


def ranking_sheet(index, query, kind=None, *, layer=None, position=None, top=10, name=None):
    """A figure of a query and its nearest gallery images, framed as right or wrong, with heat maps below.

    A map of the attention that would be the same for each image is left out, and so are frames if it is unknown who the
    query is. The title says why.

    Args:
        index: an :class:`Index`.
        query: as in :meth:`Index.rank`.
        kind: of the maps, as in :func:`gaaplib.explain.heatmaps.heatmap`. None: images only. For ``"gradcam_match"``,
            each gallery image is compared with the query, and the query with the nearest gallery image.
        layer, position: as in :meth:`Index.maps`.
        top: number of gallery images, at most.
        name: of the model, for the figure's title.
    """
    ranking = index.rank(query, top)
    image = query if isinstance(query, np.ndarray) else index.queries.pixels(query)
    gallery, maps, title = index.gallery.pixels(ranking.places), None, None
    flat = None if kind is None else heatmaps.why_flat(index.model, kind)
    if flat:
        title = f"no map of kind {kind}: {flat}"
    elif kind is not None:
        own = query[None] if isinstance(query, np.ndarray) else index.queries.seen([query])
        found = index.gallery.seen(ranking.places)
        others = inputs.joined([found[:1] if len(found) else own, *[own] * len(found)])
        maps = index.maps(inputs.joined([own, found]), kind, others=others, position=position, layer=layer)
        title = f"{kind} of {layer} of the backbone" if layer else heatmaps.KINDS[kind].rstrip(".")
    title = ": ".join(words for words in (name, title) if words)
    unknown = "" if any(ranking.states) else "no frames: the identity of the query is unknown"
    title = "\n".join(line for line in (title, unknown) if line)
    return map_plots.match_sheet(
        image, gallery, ranking.states, ranking.distances, maps=maps, title=title, synthetic=index.is_synthetic
    )


def pair_sheet(index, image, other):
    """A figure of two images with the attention in each, if there is one, and Grad-CAM of their similarity.

    Args:
        index: an :class:`Index`.
        image, other: uint8 (height, width, 3), of the model's size.
    """
    images = np.stack([image, other])
    kinds = [kind for kind in ("received", "gradcam_match") if not heatmaps.why_flat(index.model, kind)]
    maps = {kind: index.maps(images, kind, others=images[::-1]) for kind in kinds}
    return map_plots.map_sheet(images, maps, labels=["first", "second"], synthetic=index.is_synthetic)


def ranked_examples(run, data, *, queries=5, top=10):
    """Queries from the highest AP to the lowest, each with its nearest gallery images.

    Args:
        run: a finished run.
        data: the :class:`gaaplib.runs.data.Data` that it was evaluated on.
        queries: number of queries, at equal steps of the valid queries sorted by AP.
        top: number of gallery images per query, at most.

    Returns:
        A list of ``(image, ap, [(gallery image, is_match), ...])``, nearest first. Gallery images with the query's
        identity and camera are left out, as in the evaluation.

    Raises:
        ValueError: the run was scored on other images.
    """
    check_images(run, data)
    per_query, table = run.per_query, data.part("query")
    by_ap = np.argsort(-np.where(per_query["valid"], per_query["ap"], np.nan), kind="stable")
    by_ap = by_ap[: per_query["valid"].sum()]
    chosen = by_ap[np.linspace(0, len(by_ap) - 1, min(queries, len(by_ap))).astype(int)]
    gallery = data.part("gallery")
    model, images = run.model(), data.store.images
    query_rows = table.row.to_numpy()[chosen]
    outputs = [fit.embed(model, data.inputs, rows) for rows in (query_rows, gallery.row.to_numpy())]
    distances = METHODS[run.config.method].distances(*outputs, run.config.distance, model).matrix()
    what = states(*(side[name] for name in ("pid", "camid") for side in (table.iloc[chosen], gallery)))
    examples = []
    for query, row, of_query in zip(chosen, distances, what, strict=True):
        order = nearest(row, top, of_query == "same camera")
        shown = [(images[gallery.row.iloc[n]], bool(of_query[n] == "match")) for n in order]
        examples.append((images[table.row.iloc[query]], float(per_query["ap"][query]), shown))
    return examples


def embedded_folder(model, folder, height, width, *, compared=("embedding",), outputs=None, progress=False):
    """The :class:`Images` of a folder of photographs, which are resized to height and width.

    Args:
        model: a model from images to a dict with ``"embedding"``: a run's, or one from elsewhere.
        compared: the outputs of the model to keep.
        folder, outputs, progress: as for :meth:`Index.of_folder`, which has the errors. For a model that sees key
            points, the folder has to have ``keypoints.npz`` (:mod:`gaaplib.datasets.keypoints`).
    """
    records, cache = photograph_folder.photographs(folder), Path(outputs or outputs_folder()) / "cache"
    root = photograph_folder.image_folder(folder)
    store = open_store(root, records, height, width, cache, progress=progress)
    seen = store.images
    if isinstance(getattr(model, "input", None), dict):
        # Key points are all that a network here sees beside images.
        seen = inputs.Inputs(seen, {"keypoints": keypoints.of_store(root, store, keypoints.image_sizes)})
    return _embedded(model, seen, store.records, compared)


def _check_approximate(approximate, run):
    """Raise before the work if FAISS is needed and not installed, or does not compare as the method does."""
    if not approximate:
        return
    candidates.library()
    method = run.config.method
    if METHODS[method].compared != ("embedding",):
        raise ValueError(f"method={method!r} does not compare embeddings alone, so no index of FAISS finds its nearest")


def _embedded(model, store, table, compared):
    """The :class:`Images` of a table of records."""
    rows = table.row.to_numpy()
    found = fit.embed(model, store, rows)
    outputs = {name: found[name] for name in compared}
    names = table.path.tolist(), table.pid.to_numpy(), table.camid.to_numpy()
    return Images(store, rows, *names, outputs, [person(table, pid) for pid in table.pid])


def _some(outputs, places):
    """The same arrays for some of the images."""
    return {name: array[places] for name, array in outputs.items()}
