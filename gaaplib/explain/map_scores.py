"""Whether a run's heat maps show what its matches depend on: deletion and insertion on its queries, beside baselines.

No masks are needed, so photographs can be measured, too.
"""

from collections import Counter

import numpy as np
import pandas as pd

from gaaplib import runs
from gaaplib.evaluation.statistics import signed
from gaaplib.explain import localisation, run_maps
from gaaplib.project import write_whole
from gaaplib.runs.data import load_data

FILE = "maps.csv"
"""In a run's folder: one line per map and query."""

COUNT = 300
"""Number of queries, at most."""

LOWER_IS_BETTER = {"deletion": True, "insertion": False}
"""The two measures."""

BASELINES = tuple(name for name in localisation.BASELINES if name != "mean mask")
"""Those that need no masks."""


def measure(run, count=COUNT, *, outputs=None):
    """Measure a run's maps on some of its queries, and write them to ``FILE`` in its folder.

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
    baselines = run_maps.baselines(run.config, model, data, people.images)
    maps |= {name: baselines[name] for name in BASELINES}
    curves = run_maps.deletion_insertion(model, people.images, people.matches, maps)
    found = table(areas(curves), people.table.pid)
    write_whole(run.folder / FILE, found.round(5).to_csv(index=False))
    return read(run)


def areas(curves):
    """The areas under the curves of :func:`gaaplib.explain.run_maps.deletion_insertion`: ``{map: {measure: (n,)}}``."""
    return {
        name: {measure: localisation.auc(curve) for measure, curve in zip(LOWER_IS_BETTER, both, strict=True)}
        for name, both in curves.items()
    }


def table(found, pids):
    """These areas as a DataFrame: one row per map and query; ``pids`` (n,) are the queries' identities."""
    return pd.concat([pd.DataFrame({"kind": name, "pid": pids, **values}) for name, values in found.items()])


def read(run):
    """What :func:`measure` wrote: a DataFrame with the columns ``kind``, ``pid``, ``deletion`` and ``insertion``.

    Raises:
        FileNotFoundError: the run's maps are not measured.
        ValueError: the file is damaged.
    """
    path = run.folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: gaap maps --run {run.folder.name} measures them")
    try:
        found = pd.read_csv(path, usecols=["kind", "pid", *LOWER_IS_BETTER])
        whole = found.groupby("kind").size().nunique() == 1 and np.isfinite(found[list(LOWER_IS_BETTER)]).all(axis=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): gaap maps writes it anew") from error
    if not whole or not set(BASELINES) < set(found.kind):
        raise ValueError(f"{path} is not whole: gaap maps writes it anew")
    return found


def verdicts(found, *, baselines=BASELINES):
    """Each map compared with each baseline in both measures, on the same queries.

    Args:
        found: a DataFrame as :func:`read` returns it.
        baselines: names of maps.

    Returns:
        A list of :class:`gaaplib.explain.localisation.Verdict`.
    """
    values = {name: rows[list(LOWER_IS_BETTER)].to_numpy().T for name, rows in found.groupby("kind", sort=False)}
    measured = {name: dict(zip(LOWER_IS_BETTER, both, strict=True)) for name, both in values.items()}
    pids = found.pid[found.kind == baselines[0]].to_numpy()
    return [
        localisation.versus(measured, name, measure, pids, baseline=baseline, lower_is_better=lower)
        for name in measured
        if name not in BASELINES
        for measure, lower in LOWER_IS_BETTER.items()
        for baseline in baselines
    ]


def of_runs(outputs, baselines=("uniform", "centre prior")):
    """The maps of all measured runs as a DataFrame of text, one row per run and map: each compared with baselines.

    Args:
        outputs: folder with ``runs/``.
        baselines: names of maps.
    """
    return pd.DataFrame([row for run in _measured(outputs) for row in _rows(run, read(run), baselines)])


def sentence(outputs):
    """What came out for GAAP's attention on photographs, in one sentence: in how many runs it is a gain or a loss.

    Args:
        outputs: folder with ``runs/``.
    """
    kept = [run for run in _measured(outputs) if not run.config.is_synthetic and run.config.attention != "none"]
    found = [one for run in kept for one in verdicts(read(run), baselines=("centre prior",)) if one.kind == "received"]
    if not found:
        return "On photographs: not measured yet."
    words = []
    for measure in LOWER_IS_BETTER:
        counts = Counter(one.verdict for one in found if one.measure == measure)
        words.append(f"{measure}: " + ", ".join(f"{verdict} in {count}" for verdict, count in sorted(counts.items())))
    data = ", ".join(sorted({run.config.data_name for run in kept}))
    return (
        f"On photographs ({data}), GAAP's attention compared with that Gaussian as to what the match depends on:\n"
        f"{'; '.join(words)} (of {len(kept)} run{'s' * (len(kept) > 1)})."
    )


def _measured(outputs):
    return [run for run in runs.finished(outputs) if (run.folder / FILE).is_file()]


def _rows(run, found, baselines):
    config, compared = run.config, verdicts(found, baselines=baselines)
    which = {"data": config.data_name, "method": config.method, "attention": config.attention, "seed": config.seed}
    number = int((found.kind == baselines[0]).sum())
    return [
        {**which, "map": name, "queries": number, **_cells([one for one in compared if one.kind == name])}
        for name in dict.fromkeys(one.kind for one in compared)
    ]


def _cells(compared):
    return {f"{one.measure} against {one.baseline}": f"{_signed(one.difference)}, {one.verdict}" for one in compared}


def _signed(interval):
    return signed(interval.estimate, interval.low, interval.high)
