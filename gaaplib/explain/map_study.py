"""Heat maps of several runs on the same people: computed once, then shown, and measured beside baselines."""

from dataclasses import dataclass

import keras
import numpy as np

from gaaplib.datasets.records import UNKNOWN_CAMERA, person
from gaaplib.explain import heatmaps, localisation, run_maps
from gaaplib.explain import plots as map_plots
from gaaplib.explain.run_maps import Sample
from gaaplib.runs.data import Data, load_data

SHOWN = 3
"""Number of people on a sheet."""


@dataclass(frozen=True)
class MapStudy:
    """Maps of runs that are scored on the same images. The first run is the one that is measured.

    Attributes:
        runs: ``{name: Run}``.
        models: ``{name: model}``.
        data: the images of the first run.
        people: the queries that the maps are of.
        received: ``{name: (n, rows, columns)}``, the attention received, of each run.
        baselines: maps on the grid of the first run, as :func:`gaaplib.explain.run_maps.baselines` returns them.
        kinds: ``{kind: (n, rows, columns)}``, all kinds of the first run's maps.
        measured: ``{kind: {measure: (n,)}}`` of ``kinds`` and ``baselines``; empty if the data set has no masks.
    """

    runs: dict
    models: dict[str, keras.Model]
    data: Data
    people: Sample
    received: dict
    baselines: dict
    kinds: dict
    measured: dict

    @property
    def main(self):
        """The first run."""
        return next(iter(self.runs.values()))

    @property
    def pids(self):
        """The identity of each query."""
        return self.people.table.pid.to_numpy()

    def verdicts(self):
        """The attention received compared with each baseline in each measure; empty without masks."""
        return [
            localisation.versus(self.measured, "received", measure, self.pids, baseline=name)
            for measure in self.measured.get("received", ())
            for name in self.baselines
        ]

    def sentence(self):
        """What came out, in one sentence."""
        config = self.main.config
        kind = "synthetic images" if config.is_synthetic else "photographs"
        found = [f"{one.verdict} in {one.measure}" for one in self.verdicts() if one.baseline == "centre prior"]
        return (
            f"{config.data_name} ({kind}), {config.backbone}, profile {config.profile}: GAAP's attention compared "
            f"with\na fixed Gaussian at the image centre: {'; '.join(found) or 'not measured, no masks'}."
        )

    def all_kinds(self, name):
        """All kinds of maps of one run."""
        return run_maps.maps_of(self.models[name], self.people.images, self.people.matches)

    def sheet(self, maps, title):
        """A figure of these maps for three people, at equal steps of the queries, on one scale."""
        some = np.linspace(0, len(self.people.table) - 1, SHOWN).astype(int)
        labels = [self._described(row) for row in self.people.table.iloc[some].itertuples()]
        few = {name: heat[some] for name, heat in maps.items()}
        images, synthetic = self.people.images[some], self.main.config.is_synthetic
        return map_plots.map_sheet(images, few, labels=labels, title=title, synthetic=synthetic)

    def ranking(self, place, top=6):
        """A figure of one query, its nearest gallery images, and the attention received in all of them.

        Args:
            place: index of the query.
            top: number of gallery images, at most.
        """
        rows, states, distances = self.people.nearest(place, top)
        pictures = self.data.store.images[[self.people.table.row.iloc[place], *rows]]
        title = f"AP {self.people.table.ap.iloc[place]:.2f}: attention received"
        return self._matches(pictures, states, distances, title)

    def across_cameras(self):
        """A figure of one person in several cameras, nearest first, with the attention received.

        If the cameras are unknown, it has images of the person with the most of them.
        """
        same, distances = run_maps.across_cameras(self.main, self.data)
        known = (same.camid != UNKNOWN_CAMERA).all()
        where = f"cameras {', '.join(map(str, same.camid))}" if known else f"{len(same)} images"
        title = f"one person in {where}: attention received"
        return self._matches(self.data.store.images[same.row], ["match"] * (len(same) - 1), distances[1:], title)

    def _described(self, row):
        """The person of a query and, if it is known, the camera."""
        name = person(self.data.table, row.pid)
        return name if row.camid == UNKNOWN_CAMERA else f"{name}, camera {row.camid}"

    def _matches(self, pictures, states, distances, title):
        maps = heatmaps.heatmap(next(iter(self.models.values())), pictures)
        look = {"maps": maps, "title": title, "synthetic": self.main.config.is_synthetic}
        return map_plots.match_sheet(pictures[0], pictures[1:], states, distances, **look)


def study(named, *, count=None, outputs=None):
    """The :class:`MapStudy` of finished runs on the same images; each has a network with an attention layer.

    Args:
        named: ``{name: Run}``.
        count: number of queries, at most; None: all.
        outputs: as for :func:`gaaplib.runs.data.load_data`.
    """
    first = next(iter(named.values()))
    data = load_data(first.config, outputs=outputs)
    people = run_maps.sample(first, data, count)
    models = {name: run.model() for name, run in named.items()}
    main = next(iter(models.values()))
    received = {name: heatmaps.heatmap(model, people.images) for name, model in models.items()}
    kinds = run_maps.maps_of(main, people.images, people.matches)
    baselines = run_maps.baselines(first.config, main, data, people.images)
    measured = {} if people.masks is None else run_maps.measured(kinds | baselines, people.masks)
    return MapStudy(named, models, data, people, received, baselines, kinds, measured)
