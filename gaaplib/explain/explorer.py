"""Notebook widgets for :mod:`gaaplib.explain.lookup`: choose one or two runs, a query, a map and a position.

File names can contain any characters, so they are escaped in HTML and do not appear in figures.
"""

import base64
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

# The largest number of queries to choose from, at equal steps from the best to the worst.
QUERIES = 300
# The height of the clickable query in pixels, and the resolution of the sheet beside it in dots per inch.
QUERY_HEIGHT, SHEET_DPI = 256, 96
# The value of the one layer that is not a stage of the backbone. For a widget, None would mean that nothing is chosen.
ATTENTION = "attention"
NO_SECOND = ("no second run", "")
READY, BUSY = "Choose a position:", "<b>Working ...</b>"
STATES = {"match": "the same person", "same camera": "same camera, left out"}
# Each run has its own model. TensorFlow takes the first calls of each for repeated compilation, and warns.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


def jpeg(figure):
    """The figure as the bytes of a JPEG file, which for photographs is smaller and faster than PNG. It is closed."""
    buffer = io.BytesIO()
    # bbox_inches="tight" would render the figure twice.
    box = figure.bbox_inches.padded(0.12)
    figure.savefig(buffer, format="jpeg", dpi=SHEET_DPI, bbox_inches=box, pil_kwargs={"quality": 90, "subsampling": 0})
    plt.close(figure)
    return buffer.getvalue()


def explorer(run, *, photos=None, outputs=None, approximate=False):
    """Widgets to choose a run, query, map and layer, click a position of the query, and see the nearest images.

    Args:
        run: the run to show first. The other choices are the runs of :func:`gaaplib.runs.finished` that have a model.
        photos: a folder of photographs to use instead of each run's own images.
        outputs: the folder of all outputs. None: :func:`gaaplib.project.outputs_folder`.
        approximate: as in :class:`gaaplib.explain.lookup.Index`, for large folders; the text below the sheet then says
            how many of the nearest images are found.

    Returns:
        An ``ipywidgets.VBox``. It first shows the query in the middle of the list. Where no kernel runs, such as on
        GitHub, a notebook shows that first view as a picture.
    """
    others = [
        other for other in runs.finished(outputs, with_model=True) if other.folder.resolve() != run.folder.resolve()
    ]
    return _Explorer([run, *others], photos, outputs, approximate).box


class _Explorer:
    """The widgets and their callbacks."""

    def __init__(self, choices, photos, outputs, approximate):
        settings = {"outputs": outputs, "approximate": approximate}

        @lru_cache(maxsize=4)
        def opened(run):
            index = Index.of_folder(run, photos, **settings) if photos else Index.of_run(run, **settings)
            return index, f" ({index.recall():.1%} of the 10 nearest images are found)" if approximate else ""

        self._opened, self._answering, self.index, self._position = opened, False, None, None
        kinds = [(f"{kind}: {words}", kind) for kind, words in heatmaps.KINDS.items()]
        self.run = _chooser("run", [(run.folder.name, run) for run in choices])
        self.beside = _chooser("beside", [NO_SECOND, *((run.folder.name, run) for run in choices[1:])])
        # A dropdown that was created without options shows no selection later.
        self.query, self.kind, self.layer = (
            _chooser("query"),
            _chooser("map", kinds),
            _chooser("layer", [("the map", ATTENTION)]),
        )
        over = {"grid_area": "one", "width": "100%", "height": "100%"}
        self.image = widgets.Image(format="png", layout=over)
        self.cells = widgets.GridBox(layout={**over, "grid_gap": "0"})
        self.cells.add_class("gaap-positions")
        at_most = {"flex": "0 1 auto", "min_width": "0", "object_fit": "contain"}
        self.sheet, self.second = (widgets.Image(format="jpeg", layout=at_most) for _ in range(2))
        for sheet in (self.sheet, self.second):
            sheet.add_class("gaap-sheet")
        self.words = widgets.HTML()
        self.box = self._laid_out()
        for chooser in (self.run, self.beside, self.query, self.kind, self.layer):
            chooser.observe(lambda change: self._answer(change.owner), "value")
        self._answer(self.run)

    def _laid_out(self):
        """The layout: the dropdowns on top, the query with its positions beside the sheet, text below."""
        self.over = widgets.GridBox([self.image, self.cells])
        self.over.layout = {"grid_template_areas": "'one'", "height": f"{QUERY_HEIGHT}px"}
        self.hint = widgets.HTML(READY)
        left = widgets.VBox([self.hint, self.over], layout={"flex": "0 0 auto", "align_items": "center"})
        self.sheets = widgets.VBox([self.sheet], layout={"flex": "0 1 auto", "min_width": "0"})
        shown = widgets.HBox([left, self.sheets])
        return _Box(self, [self.run, self.beside, self.query, self.kind, self.layer, shown, self.words])

    def _answer(self, asked):
        """Update what depends on the widget that was used. Changes made during an update trigger no further one."""
        if self._answering or (self.index is None and asked is not self.run):
            return
        self._answering, self.hint.value = True, BUSY
        # A figure leaves many objects behind; they are collected after the update.
        gc.disable()
        try:
            if asked is self.run:
                self.words.value = "Computing the embeddings of the run's images ..."
                self._open()
            if asked in (self.run, self.query):
                self.image.value = _png_of(self.index.queries.pixels(self.query.value))
            if asked in self.cells.children:
                self._position, self.kind.value = asked.position, "rollout"
            self._show()
        except (ImportError, OSError, ValueError) as error:
            self.words.value = f"<b>{html.escape(str(error))}</b>"
            self._put_second(b"")
        finally:
            gc.enable()
            self._answering, self.hint.value = False, READY

    def _open(self):
        """Open the chosen run: its queries, the layers of its network and the positions of its map."""
        self.index = None
        self.index, self._found = self._opened(self.run.value)
        order = self.index.order
        order = order[np.unique(np.linspace(0, len(order) - 1, QUERIES).astype(int))]
        self.query.options = [(_described(self.index, query), int(query)) for query in order]
        self.query.value = int(order[len(order) // 2])
        height, width = self.index.queries.pixels([0]).shape[1:3]
        self.over.layout.width = f"{QUERY_HEIGHT * width // height}px"
        self.kind.disabled = not self.index.has_maps
        if not self.index.has_maps:
            self.cells.children = []
            return
        stages = heatmaps.stages(self.index.model)
        attends = self.run.value.config.attention != "none"
        own = "after the attention" if attends else "the last map, as there is no attention"
        self.layer.options = [(own, ATTENTION), *((f"{stage} of the backbone", stage) for stage in stages)]
        rows, columns = heatmaps.grid(self.index.model)
        self._position = (rows // 2, columns // 2)
        self.cells.layout.grid_template_rows = f"repeat({rows}, 1fr)"
        self.cells.layout.grid_template_columns = f"repeat({columns}, 1fr)"
        self.cells.children = [
            _Cell((row, column), (rows, columns), self._answer) for row in range(rows) for column in range(columns)
        ]

    def _show(self):
        """Show the sheet, the position and the text for the current choices."""
        kind, query = self.kind.value if self.index.has_maps else None, self.query.value
        self.layer.disabled = kind not in heatmaps.AT_ANY_LAYER
        second = self._second()
        picture = self._sheet(self.index, self.run.value if second else None)
        other = self._sheet(second, self.beside.value) if second else b""
        for cell in self.cells.children:
            cell.mark(kind == "rollout" and cell.position == self._position)
        asked = html.escape(self.index.queries.names[query])
        rows = "".join(_row(self.index, *found) for found in zip(*_columns(self.index.rank(query)), strict=True))
        self.words.value = TABLE.format(asked=asked, found=self._found, rows=rows)
        self._put_second(other)
        # Last, so that the layout does not move after the sheet appears.
        self.sheet.value = picture

    def _sheet(self, index, run):
        """The picture of an index for the current choices, as JPEG; with its name if there are two."""
        kind = self.kind.value if index.has_maps else None
        layer = None if self.layer.disabled or self.layer.value == ATTENTION else self.layer.value
        rows, columns = heatmaps.grid(index.model) if index.has_maps else (0, 0)
        position = self._position
        if index.has_maps and (position[0] >= rows or position[1] >= columns):
            position = (rows // 2, columns // 2)
        name = None if run is None else _short(run.folder.name)
        return jpeg(ranking_sheet(index, self.query.value, kind, layer=layer, position=position, name=name))

    def _put_second(self, picture):
        """Show a second sheet below the first, or none. An image without a picture would be a broken one."""
        self.second.value = picture
        self.sheets.children = [self.sheet, self.second] if picture else [self.sheet]

    def _second(self):
        """The index of the second run, or None if there is none.

        Raises:
            ValueError: its queries are others, so that no query is in both.
        """
        if not self.beside.value or self.beside.value is self.run.value:
            return None
        index, _ = self._opened(self.beside.value)
        if index.queries.names != self.index.queries.names:
            raise ValueError(f"{self.beside.value.folder.name} has other queries than the first run")
        return index


class _Box(widgets.VBox):
    """The explorer. Where nothing draws widgets, it is the picture of its first view."""

    def __init__(self, shown, children):
        super().__init__(children)
        self._shown = shown

    def _repr_mimebundle_(self, **arguments):
        bundle = super()._repr_mimebundle_(**arguments)
        if self._shown.sheet.value:
            bundle["image/jpeg"] = base64.b64encode(self._shown.sheet.value).decode()
        return bundle | {"text/plain": "The explorer: run this cell in JupyterLab to choose and click."}


class _Cell(widgets.Button):
    """A button for one position of the query; it can be clicked, or reached with Tab and pressed."""

    def __init__(self, position, shape, answer):
        words = f"row {position[0] + 1} of {shape[0]}, column {position[1] + 1} of {shape[1]}"
        super().__init__(tooltip=words, layout={"width": "auto", "height": "auto", "margin": "0"})
        self.style.button_color = "transparent"
        self.position = position
        self.on_click(answer)

    def mark(self, is_chosen):
        """Draw a frame around the cell if it is chosen."""
        self.layout.border = "3px solid #de8f05" if is_chosen else "1px solid rgba(255, 255, 255, 0.5)"


def _chooser(name, options=()):
    return widgets.Dropdown(
        description=name, options=options, style={"description_width": "4em"}, layout={"width": "auto"}
    )


TABLE = """<div style="line-height: 1.4; overflow-x: auto"><b>{asked}</b>; nearest images{found}:
<table style="font-size: 90%">
<tr><th>rank</th><th style="text-align: left">image</th><th style="text-align: left">is</th><th>distance</th></tr>
{rows}</table></div>"""


def _columns(ranking):
    return ranking.ranks, ranking.places, ranking.states, ranking.distances


def _row(index, rank, place, state, distance):
    """A row of the table: what the sheet numbers has a number, what is left out of the scores has none."""
    name, known = html.escape(index.gallery.names[place]), STATES.get(state, "another person" if state else "")
    cells = f"<td>{rank or '-'}</td><td style='text-align: left; overflow-wrap: anywhere'>{name}</td>"
    return f"<tr>{cells}<td style='text-align: left'>{known}</td><td>{distance:.3f}</td></tr>"


def _short(name):
    """A run's name for a figure: the parts that runs on one data set differ in."""
    return " ".join(name.split("_")[1:])


def _described(index, query):
    """The entry of a query in the list of queries."""
    queries = index.queries
    if index.ap is None:
        return queries.names[query]
    score = "no match" if np.isnan(index.ap[query]) else f"AP {index.ap[query]:.2f}"
    camera = "" if queries.camids[query] == UNKNOWN_CAMERA else f", camera {queries.camids[query]}"
    return f"{score}: person {queries.persons[query]}{camera}"


def _png_of(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()
