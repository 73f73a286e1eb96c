"""Whether a run's heat maps show what its matches depend on, and whether they are on the person, beside baselines.

Deletion and insertion need no masks, so photographs can be measured, too.
"""

import textwrap
from collections import Counter

import numpy as np
import pandas as pd

from gaaplib import runs
from gaaplib.evaluation.statistics import signed
from gaaplib.explain import localisation, run_maps
from gaaplib.project import write_whole
from gaaplib.runs import folder
from gaaplib.runs.data import load_data

BESIDE = {"centre prior": "a Gaussian at the image centre", "untrained": "the untrained network's"}
"""The baselines of :func:`sentence`, and what they are called there."""

WHICH = ["data", "attention", "seed", "map", "against"]
"""What tells the rows of :func:`of_runs` apart."""

FILE = folder.MAPS
"""In a run's folder: one line per map and query."""

COUNT = 300
"""Number of queries, at most."""

BY_ORDER = ("deletion", "insertion")
"""What the match depends on; a lower area is better under deletion."""

ON_PERSON = ("share on person", "pointing game", "IoU at 0.5")
"""What lies on the person; only images with masks have these measures."""

BASELINES = tuple(name for name in localisation.BASELINES if name != "mean mask")
"""Those that need no masks."""


def measure(run, count=COUNT, *, outputs=None):
    """Measure a run's maps on some of its queries, and write the values to ``FILE`` in its folder.

    Maps that are the same everywhere, such as the attention received in a network without attention, give no order and
    are left out.

    Args:
        run: a finished run with its model.
        count: number of queries, at most, at equal steps of the table.
        outputs: as for :func:`gaaplib.runs.data.load_data`.

    Returns:
        A DataFrame as :func:`read` returns it.

    Raises:
        ValueError: the images are not those that the run was scored on.
    """
    data = load_data(run.config, outputs=outputs)
    people = run_maps.sample(run, data, count)
    model = run.model()
    maps = run_maps.maps_of(model, people.images, people.matches)
    maps = {name: heat for name, heat in maps.items() if np.ptp(heat) > localisation.TIE}
    maps |= run_maps.baselines(run.config, model, None, people.images)
    curves = run_maps.deletion_insertion(model, people.images, people.matches, maps)
    values = areas(curves)
    if people.masks is not None:
        on_person = run_maps.measured(maps, people.masks)
        values = {name: both | on_person[name] for name, both in values.items()}
    found = table(values, people.table.pid)
    write_whole(run.folder / FILE, found.round(5).to_csv(index=False))
    return read(run)


def areas(curves):
    """The areas under the curves of :func:`gaaplib.explain.run_maps.deletion_insertion`: ``{map: {measure: (n,)}}``."""
    return {
        name: {measure: localisation.auc(curve) for measure, curve in zip(BY_ORDER, both, strict=True)}
        for name, both in curves.items()
    }


def table(found, pids):
    """These values as a DataFrame: one row per map and query; ``pids`` (n,) are the queries' identities."""
    return pd.concat([pd.DataFrame({"kind": name, "pid": pids, **values}) for name, values in found.items()])


def read(run):
    """What :func:`measure` wrote: a DataFrame with the columns ``kind``, ``pid`` and one per measure.

    These are ``BY_ORDER``, and ``ON_PERSON`` if the images have masks.

    Raises:
        FileNotFoundError: the run's maps are not measured.
        ValueError: the file is damaged.
    """
    path = run.folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: gaap maps --run {run.folder.name} measures them")
    try:
        found = pd.read_csv(path)
        measured = found[[*BY_ORDER, *(name for name in ON_PERSON if name in found)]]
        whole = found.groupby("kind").pid.count().nunique() == 1 and np.isfinite(measured).all(axis=None)
        found = found[["kind", "pid", *measured]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): gaap maps writes it anew") from error
    if not whole or not set(BASELINES) < set(found.kind):
        raise ValueError(f"{path} is not whole: gaap maps writes it anew")
    return found


def verdicts(found, *, baselines=BASELINES):
    """Each map compared with each baseline in each measure, on the same queries.

    Args:
        found: a DataFrame as :func:`read` returns it.
        baselines: names of maps.

    Returns:
        A list of :class:`gaaplib.explain.localisation.Verdict`.
    """
    values = {name: rows.drop(columns=["kind", "pid"]) for name, rows in found.groupby("kind", sort=False)}
    measured = {name: {measure: rows[measure].to_numpy() for measure in rows} for name, rows in values.items()}
    pids = found.pid[found.kind == baselines[0]].to_numpy()
    return [
        localisation.versus(measured, name, measure, pids, baseline=baseline, lower_is_better=measure == "deletion")
        for name in measured
        if name not in BASELINES
        for measure in measured[name]
        for baseline in baselines
    ]


def of_runs(outputs, measures=BY_ORDER):
    """The maps of all measured runs as a DataFrame of text: one row per run, map and baseline, one column per measure.

    Args:
        outputs: folder with ``runs/``.
        measures: names of measures; a run that has none of them has no row.
    """
    rows = {}
    for run in _measured(outputs):
        found, config = read(run), run.config
        number = int((found.kind == BASELINES[0]).sum())
        for one in verdicts(found):
            if one.measure in measures:
                which = runs.data_name(run.metrics), config.attention, config.seed, one.kind, one.baseline
                rows.setdefault(which, {"queries": number})[one.measure] = _cell(one)
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.set_axis(pd.MultiIndex.from_tuples(rows, names=WHICH)) if rows else table


def sentence(outputs):
    """What came out for GAAP's attention in the measured runs: in how many it is a gain or a loss, a line per data set.

    Args:
        outputs: folder with ``runs/``.
    """
    by_data = {}
    for run in _measured(outputs):
        if run.config.attention != "none":
            by_data.setdefault((run.config.is_synthetic, runs.data_name(run.metrics)), []).append(run)
    lines = [_sentence(*which, by_data[which]) for which in sorted(by_data)]
    return "\n".join(lines) or "Maps of runs: none measured yet."


def _sentence(synthetic, data, measured):
    found = [one for run in measured for one in verdicts(read(run), baselines=tuple(BESIDE)) if one.kind == "received"]
    images, number = "synthetic images" if synthetic else "photographs", len(measured)
    lines = [f"{data} ({images}), {number} measured run{'s' * (number > 1)}, GAAP's attention compared with"]
    for baseline, called in BESIDE.items():
        counts = {}
        for one in found:
            if one.baseline == baseline:
                counts.setdefault(one.measure, Counter())[one.verdict] += 1
        line = f"  {called}: {'; '.join(_counted(measure, each) for measure, each in counts.items())}"
        lines.append(textwrap.fill(line, 96, subsequent_indent="    "))
    return "\n".join(lines)


def _counted(measure, counts):
    if len(counts) == 1:
        return f"{next(iter(counts))} in {measure}"
    return " and ".join(f"{verdict} ({count})" for verdict, count in sorted(counts.items())) + f" in {measure}"


def _measured(outputs):
    return [run for run in runs.finished(outputs) if (run.folder / FILE).is_file()]


def _cell(one):
    return f"{signed(one.difference.estimate, one.difference.low, one.difference.high)}, {one.verdict}"
