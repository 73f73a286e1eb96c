"""Looking things up with a run's model: who is nearest to whom, is it the same person, where does the model look.

First the questions as plain functions, then :func:`explorer`, which asks them by widgets, for a notebook. Names of
files are whatever somebody called them: in HTML they are escaped, in figures there are none.
"""

import gc
import html
import io
import logging
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from gaaplib import experiment, metrics, runs
from gaaplib.datasets import folder as photograph_folder
from gaaplib.datasets.files import folders_in, found_in, images_in
from gaaplib.datasets.images import open_store
from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA, make_records
from gaaplib.evaluation import verification
from gaaplib.explain import heatmaps
from gaaplib.explain import plots as map_plots
from gaaplib.methods import METHODS
from gaaplib.project import outputs_folder
from gaaplib.training import fit

# Of a large data set so many queries can be chosen, at equal steps from the best to the worst.
QUERIES = 300
# Pixels on the screen: the height of the query that is clicked on, and dots an inch of the sheet beside it.
QUERY_HEIGHT, SHEET_DPI = 256, 96
# What the list of layers calls the one that is no stage of the backbone; a widget's None would be no choice at all.
ATTENTION = "attention"
OWN_LAYER = ("behind the attention", ATTENTION)
# Each run is another model, whose first calls TensorFlow takes for one function that is compiled over and over.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


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
        data = experiment.load_data(run.config, outputs=outputs)
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
            folder: as :func:`photographs` reads it.
            outputs: folder for the decoded images; None: :func:`gaaplib.project.outputs_folder`.
            progress: show a bar while decoding.

        Raises:
            FileNotFoundError: no images.
            ValueError: a table that is wrong, or images that cannot be decoded.
        """
        records, size = photographs(folder), (run.config.height, run.config.width)
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
        order = np.argsort(distances, kind="stable")
        if self.is_folder and place is not None:
            order = order[order != place]
        order = order[:top]
        known = (self.queries.pids[place], self.queries.camids[place]) if place is not None else (DISTRACTOR, None)
        return Ranking(order, distances[order], self._states(*known, order))

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
        camids = [side.camids for side in sides]
        if any((cameras == UNKNOWN_CAMERA).any() for cameras in camids):
            camids = [None, None]
        distances = metrics.EmbeddingDistances(*(side.embeddings for side in sides), config.distance)
        return verification.evaluate_verification(distances, *(side.pids for side in sides), *camids)

    def _embed(self, images):
        return fit.embed(self.model, images, np.arange(len(images)))["embedding"]

    def _distances(self, one, two):
        return metrics.pairwise_distances(one, two, metric=self.run.config.distance)

    def _states(self, pid, camid, places):
        if pid == DISTRACTOR:
            return [None] * len(places)
        same = self.gallery.pids[places] == pid
        junk = same & (self.gallery.camids[places] == camid) & (camid != UNKNOWN_CAMERA)
        return np.where(junk, "junk", np.where(same, "match", "wrong")).tolist()


def photographs(folder):
    """Records of a folder of photographs: who is on them where that is told, else everybody is ``DISTRACTOR``.

    It is told by a subfolder for each person or by ``records.csv``, as :mod:`gaaplib.datasets.folder` reads them. In
    any other folder all images count, at any depth; links to folders are not followed.

    Raises:
        FileNotFoundError: no images.
        ValueError: a table ``records.csv`` that is wrong, a link that leads out of the folder.
    """
    root = Path(folder).expanduser()
    try:
        return photograph_folder.read(root)
    except (FileNotFoundError, ValueError):
        if not root.is_dir() or (root / photograph_folder.TABLE).exists():
            raise
    paths = list(_paths_below(root, root))
    if not paths:
        raise FileNotFoundError(f"{root} has no images (found there: {found_in(root)})")
    return make_records((path, DISTRACTOR, UNKNOWN_CAMERA, "all") for path in paths)


def find_run(name, outputs=None):
    """A finished run with its model.

    Args:
        name: its folder, or a run_id under ``outputs/runs``, or a beginning or any part of one that no other has.
        outputs: None: :func:`gaaplib.project.outputs_folder`.

    Raises:
        ValueError: there is no such run, or more than one; or it diverged.
        FileNotFoundError: it has no model.
    """
    known = {run.folder.name: run for run in runs.finished(outputs)}
    tests = (name.__eq__, lambda run_id: run_id.startswith(name), lambda run_id: name in run_id)
    found = [runs.Run(Path(name))] if (Path(name) / "metrics.json").is_file() else []
    for test in tests:
        found = found or [run for run_id, run in known.items() if test(run_id)]
    if len(found) != 1:
        listed = "\n  ".join(known) or "none; gaap run 02_train makes one"
        raise ValueError(f"{'more than one run' if found else 'no run'} {name!r}; finished runs:\n  {listed}")
    (run,) = found
    _ = run.model_file  # Says so where there is none.
    if run.metrics["status"] != "done":
        raise ValueError(f"{run.folder.name} {run.metrics['status']} ({run.metrics['reason']}): its model says nothing")
    return run


def with_models(outputs=None):
    """The finished runs whose model can be asked where it looks, sorted by name."""
    learnt = [run for run in runs.finished(outputs) if (run.folder / "model.keras").is_file()]
    return [run for run in learnt if run.metrics["status"] == "done" and METHODS[run.config.method].learns]


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


def png(figure):
    """A figure as the bytes of a PNG; the figure is closed."""
    buffer = io.BytesIO()
    # A tight box would have all of it drawn twice.
    box = figure.bbox_inches.padded(0.12)
    figure.savefig(buffer, format="png", dpi=SHEET_DPI, bbox_inches=box, pil_kwargs={"compress_level": 1})
    plt.close(figure)
    return buffer.getvalue()


def explorer(run, *, photos=None, outputs=None):
    """Widgets: choose run, query, map and layer, click a position of the query, and see the answer.

    Args:
        run: the run to begin with; the others are those :func:`with_models`.
        photos: a folder of photographs to look at, in place of each run's own images.
        outputs: None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        An ``ipywidgets.VBox``, which shows the middle one of the queries.
    """
    others = [other for other in with_models(outputs) if other.folder.resolve() != run.folder.resolve()]
    return _Explorer([run, *others], photos, outputs).box


class _Explorer:
    """The widgets, and what happens when somebody uses one of them."""

    def __init__(self, choices, photos, outputs):
        @lru_cache(maxsize=4)
        def opened(run):
            return Index.of_folder(run, photos, outputs=outputs) if photos else Index.of_run(run, outputs=outputs)

        self._opened, self._answering, self.index = opened, False, None
        kinds = [(f"{kind}: {words}", kind) for kind, words in heatmaps.KINDS.items()]
        self.run = _chooser("run", [(run.folder.name, run) for run in choices])
        # A list that was empty when it was made shows nothing as chosen.
        self.query, self.kind, self.layer = _chooser("query"), _chooser("map", kinds), _chooser("layer", [OWN_LAYER])
        over = {"grid_area": "one", "width": "100%", "height": "100%"}
        self.image = widgets.Image(format="png", layout=over)
        self.cells = widgets.GridBox(layout={**over, "grid_gap": "0"})
        self.cells.add_class("gaap-positions")
        self.sheet = widgets.Image(format="png", layout={"flex": "0 1 auto", "min_width": "0", "object_fit": "contain"})
        self.sheet.add_class("gaap-sheet")
        self.words = widgets.HTML()
        self.box = self._laid_out()
        for chooser in (self.run, self.query, self.kind, self.layer):
            chooser.observe(lambda change: self._answer(change.owner), "value")
        self._answer(self.run)

    def _laid_out(self):
        """The choosers above, the query with its positions beside the sheet, words beneath."""
        self.over = widgets.GridBox([self.image, self.cells])
        self.over.layout = {"grid_template_areas": "'one'", "height": f"{QUERY_HEIGHT}px"}
        hint = widgets.HTML("Choose a position:")
        left = widgets.VBox([hint, self.over], layout={"flex": "0 0 auto", "align_items": "center"})
        shown = widgets.HBox([left, self.sheet])
        return widgets.VBox([self.run, self.query, self.kind, self.layer, shown, self.words])

    def _answer(self, asked):
        """Bring up to date what depends on the widget that was used; what else changes by that asks nothing."""
        if self._answering or (self.index is None and asked is not self.run):
            return
        self._answering = True
        # A figure leaves many objects behind; they are collected when the answer is out.
        gc.disable()
        try:
            if asked is self.run:
                self.words.value = "The run's model embeds its images ..."
                self._open()
            if asked in (self.run, self.query):
                self.image.value = _png_of(self.index.queries.pixels(self.query.value))
            if asked in self.cells.children:
                self._position, self.kind.value = asked.position, "rollout"
            self._show()
        except (OSError, ValueError) as error:
            self.words.value = f"<b>{html.escape(str(error))}</b>"
        finally:
            gc.enable()
            self._answering = False

    def _open(self):
        """Take another run: its queries, the layers of its network and the positions of its map."""
        self.index = None
        self.index = self._opened(self.run.value)
        order = self.index.order
        order = order[np.unique(np.linspace(0, len(order) - 1, QUERIES).astype(int))]
        self.query.options = [(_described(self.index, place), int(place)) for place in order]
        self.query.value = int(order[len(order) // 2])
        stages = heatmaps.stages(self.index.model)
        self.layer.options = [OWN_LAYER, *((f"{stage} of the backbone", stage) for stage in stages)]
        rows, columns = heatmaps.grid(self.index.model)
        self._position = (rows // 2, columns // 2)
        self.cells.layout.grid_template_rows = f"repeat({rows}, 1fr)"
        self.cells.layout.grid_template_columns = f"repeat({columns}, 1fr)"
        self.cells.children = [
            _Cell((row, column), (rows, columns), self._answer) for row in range(rows) for column in range(columns)
        ]
        height, width = self.index.queries.store.shape[1:3]
        self.over.layout.width = f"{QUERY_HEIGHT * width // height}px"

    def _show(self):
        """The sheet, the chosen position and the words for what is chosen now."""
        kind, place = self.kind.value, self.query.value
        self.layer.disabled = kind not in heatmaps.AT_ANY_LAYER
        layer = None if self.layer.disabled or self.layer.value == ATTENTION else self.layer.value
        picture = png(ranking_sheet(self.index, place, kind, layer=layer, position=self._position))
        for cell in self.cells.children:
            cell.mark(kind == "rollout" and cell.position == self._position)
        names = [self.index.gallery.names[place] for place in self.index.rank(place).places]
        listed = ", ".join(f"{rank}&nbsp;{html.escape(name)}" for rank, name in enumerate(names, start=1))
        asked = html.escape(self.index.queries.names[place])
        self.words.value = f"<div style='line-height: 1.5'><b>{asked}</b>, and the nearest: {listed}</div>"
        # Last, so that nothing moves any more when the answer is seen.
        self.sheet.value = picture


class _Cell(widgets.Button):
    """A position of the query to click on, or to reach by Tab and press."""

    def __init__(self, position, shape, answer):
        words = f"row {position[0] + 1} of {shape[0]}, column {position[1] + 1} of {shape[1]}"
        super().__init__(tooltip=words, layout={"width": "auto", "height": "auto", "margin": "0"})
        self.style.button_color = "transparent"
        self.position = position
        self.on_click(answer)

    def mark(self, is_chosen):
        """Frame the cell that is chosen."""
        self.layout.border = "3px solid #de8f05" if is_chosen else "1px solid rgba(255, 255, 255, 0.5)"


def _chooser(name, options=()):
    return widgets.Dropdown(
        description=name, options=options, style={"description_width": "4em"}, layout={"width": "auto"}
    )


def _described(index, place):
    """A query in the list of queries."""
    queries = index.queries
    if index.ap is None:
        return queries.names[place]
    score = "no match" if np.isnan(index.ap[place]) else f"AP {index.ap[place]:.2f}"
    camera = "" if queries.camids[place] == UNKNOWN_CAMERA else f", camera {queries.camids[place]}"
    return f"{score}: person {queries.pids[place]}{camera}"


def _png_of(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def _embedded(model, store, table):
    """:class:`Images` of some rows of a table of records."""
    rows = table.row.to_numpy()
    embeddings = fit.embed(model, store, rows)["embedding"]
    return Images(store, rows, table.path.tolist(), table.pid.to_numpy(), table.camid.to_numpy(), embeddings)


def _paths_below(folder, root):
    """Paths, relative to the root, of the images in a folder at any depth."""
    yield from ((folder / name).relative_to(root).as_posix() for name in images_in(folder, root))
    for name in folders_in(folder, root):
        if not (folder / name).is_symlink():
            yield from _paths_below(folder / name, root)
