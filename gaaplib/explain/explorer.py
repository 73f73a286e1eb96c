"""Widgets for a notebook that ask :mod:`gaaplib.explain.lookup`: choose a run, a query, a map, a position.

Names of files are whatever somebody called them: in HTML they are escaped, in figures there are none.
"""

import gc
import html
import io
import logging
from functools import lru_cache

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from gaaplib import runs
from gaaplib.datasets.records import UNKNOWN_CAMERA
from gaaplib.explain import heatmaps
from gaaplib.explain.lookup import Index, ranking_sheet

# Of a large data set so many queries can be chosen, at equal steps from the best to the worst.
QUERIES = 300
# Pixels on the screen: the height of the query that is clicked on, and dots an inch of the sheet beside it.
QUERY_HEIGHT, SHEET_DPI = 256, 96
# What the list of layers calls the one that is no stage of the backbone; a widget's None would be no choice at all.
ATTENTION = "attention"
OWN_LAYER = ("behind the attention", ATTENTION)
# Each run is another model, whose first calls TensorFlow takes for one function that is compiled over and over.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


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
        run: the run to begin with; the others are those of :func:`gaaplib.runs.finished` with a model.
        photos: a folder of photographs to look at, in place of each run's own images.
        outputs: None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        An ``ipywidgets.VBox``, which shows the middle one of the queries.
    """
    others = [
        other for other in runs.finished(outputs, with_model=True) if other.folder.resolve() != run.folder.resolve()
    ]
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
