"""Repeat committed runs and report, value by value, whether the results match.

A value is ``equal`` if it is bit-identical. Otherwise it ``agrees`` if the difference is within :func:`tolerances`,
because another processor rounds differently and training amplifies that; else it is ``different``. Identities, counts,
fingerprints and chance levels do not depend on rounding and have to be equal. Commit, versions, machine and seconds are
``shown`` but not judged.
"""

import hashlib
import math

import numpy as np
import pandas as pd

from gaaplib import experiment, runs

EQUAL, AGREES, DIFFERENT, SHOWN = "equal", "agrees", "different", "shown"

CHANCE = 1e-9
"""The tolerance of chance levels: sums in float64, whose last bits depend on the order of their terms."""

LOSS, ACCURACY = 0.05, 0.1
"""The tolerances of the last epoch: of its loss, relative to the loss, and of its accuracy, as a fraction.

Earlier epochs are shown but not judged: rounding differences of the first step grow while the learning rate is high and
shrink again as it falls. With oneDNN restricted to the instructions of an older processor
(``ONEDNN_MAX_CPU_ISA=AVX2``), the validation loss of a demo run of ResNet-18 differed by 11 % in epoch 2 of 5, and by
0.2 % in the last.
"""

ORIGIN = ("results", "commit", "backend", "versions", "processor", "cores", "threads", "devices_used")
"""The parts of a run's provenance that are listed if two runs differ in them."""

COLUMNS = ("run", "value", "committed", "repeated", "tolerance", "verdict")


def repeat(committed, outputs):
    """Repeat a run from its configuration in another folder, and return the comparison.

    Args:
        committed: a :class:`gaaplib.runs.Run`; its ``model.keras`` is not needed.
        outputs: folder for the repeated run; it must not contain a finished run of this name, which would be reused.

    Returns:
        A DataFrame as returned by :func:`compare`.

    Raises:
        ValueError: the committed configuration has another ``run_id`` with today's code.
    """
    config = committed.config
    if config.run_id != committed.folder.name:
        raise ValueError(
            f"{committed.folder / 'config.json'} describes the run {config.run_id} today: a parameter was added or a "
            "default changed since; make the reference runs again"
        )
    return compare(committed, experiment.run(config, outputs=outputs))


def compare(committed, repeated):
    """Return the comparison of two runs of one configuration.

    Returns:
        A DataFrame with one row per value: ``run``, ``value``, ``committed``, ``repeated``, ``tolerance`` (0: has to be
        equal; NaN: not judged) and ``verdict``.
    """
    one, two = _values(committed), _values(repeated)
    allowed = tolerances(committed, repeated)
    rows = []
    for name in {**one, **two}:
        tolerance = math.nan if name.startswith("provenance") else allowed.get(name, 0.0)
        values = one.get(name), two.get(name)
        rows.append((committed.folder.name, name, *values, tolerance, verdict(*values, tolerance)))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"committed": object, "repeated": object})


def verdict(committed, repeated, tolerance):
    """Return ``equal``, ``agrees``, ``different``, or ``shown`` if ``tolerance`` is NaN and the values are not equal.

    Example:
        >>> verdict(0.5, 0.5, 0.0), verdict(0.5, 0.51, 0.02), verdict(0.5, 0.6, 0.02), verdict(12.0, 15.0, math.nan)
        ('equal', 'agrees', 'different', 'shown')
    """
    if committed == repeated or (committed != committed and repeated != repeated):
        return EQUAL
    if math.isnan(tolerance):
        return SHOWN
    if any(isinstance(value, str | bool | None) for value in (committed, repeated)):
        return DIFFERENT
    return AGREES if abs(committed - repeated) <= tolerance else DIFFERENT


def tolerances(committed, repeated):
    """Return how far each value may differ; a value that is not listed has to be equal.

    The tolerance of a score is the half-width of the committed run's 95 % interval (:func:`gaaplib.runs.interval`; of
    the repeated run's if the committed run has no per-image file), and at least 3 images: an interval without any miss
    has no width, and the "rule of three" gives 3 / n as its end. Too few identities have no interval, so their
    tolerance is 3 images. CMC(10) and CMC(20) use the tolerance of CMC(5).

    Returns:
        ``{value: tolerance}``; NaN for values that are not judged.
    """
    found = {}
    for protocol, measures in runs.PROTOCOLS.items():
        scores = committed.metrics[protocol]
        if scores is None or repeated.metrics[protocol] is None:
            continue
        file = "per_query.npz" if protocol == "retrieval" else "per_image.npz"
        whose = committed if (committed.folder / file).is_file() else repeated
        least = 3 / (whose.per_query["valid"].sum() if protocol == "retrieval" else len(whose.per_image["rank"]))
        for title, (key, _) in measures.items():
            interval = runs.interval(whose, protocol, title)
            # Too few identities have no interval.
            found[f"{protocol} {key}"] = float(np.nanmax([(interval.high - interval.low) / 2, least]))
        for key, like in (("cmc10", "cmc5"), ("cmc20", "cmc5"), ("micro_accuracy", "cmc1")):
            found[f"{protocol} {key}"] = found[f"{protocol} {like}"]
        found |= {f"{protocol} chance {key}": CHANCE for key in scores["chance"]}
    # The scores, which are judged, summarise these.
    found |= {f"per_query {name}": math.nan for name in ("ap", "inp", "first_hit")}
    # Times of files, which no copy keeps; the fingerprint is judged.
    found |= {"data files": math.nan, "data beside_files": math.nan}
    return found | _of_history(committed.history)


def _of_history(history):
    found = {}
    for row in history.to_dict("records"):
        last = row["epoch"] == history.epoch.max()
        for name, value in row.items():
            key = f"epoch {row['epoch']:.0f} {name}"
            if name.endswith("loss"):
                found[key] = LOSS * abs(value) if last else math.nan
            elif name.endswith("accuracy"):
                found[key] = ACCURACY if last else math.nan
            elif name == "seconds":
                found[key] = math.nan
    return found


def _values(run):
    """All values of a run that can be compared, by name: ``{"closed mRA": 0.81, ...}``."""
    metrics = run.metrics
    # The run_id already is a digest of the configuration.
    del metrics["config"]
    found = dict(_flat(metrics))
    for row in run.history.to_dict("records"):
        found |= {f"epoch {row['epoch']:.0f} {name}": value for name, value in row.items() if name != "epoch"}
    if metrics["retrieval"] is not None:
        arrays = run.per_query.items()
        found |= {f"per_query {name}": hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays}
    return found


def _flat(content, above=""):
    for key, value in content.items():
        name = f"{above} {key}".strip()
        if isinstance(value, dict):
            yield from _flat(value, name)
        else:
            yield name, str(value) if isinstance(value, list) else value


def shown(table):
    """Return a table of :func:`compare` as text, with six digits and shortened hashes."""

    def cell(value):
        return f"{value:.6g}" if isinstance(value, float) else f"{value:.24}" if isinstance(value, str) else str(value)

    words = table.drop(columns=["run", "value"]).map(cell)
    words.insert(0, "value", table.value)
    words["tolerance"] = words.tolerance.replace({"nan": "", "0": ""})
    return words.to_string(index=False)


def in_words(table):
    """Return a summary of a table of :func:`compare`: how many values agree, and how the two runs' provenance differs.

    Differences in code, versions or machine are listed because they may explain results that are not equal.
    """
    is_origin = table.value.str.startswith("provenance")
    counts = table[~is_origin].verdict.value_counts()
    judged = ", ".join(f"{counts.get(word, 0)} {word}" for word in (EQUAL, AGREES, DIFFERENT, SHOWN))
    lines = [f"{table.run.iloc[0]}: {judged}"]
    for row in table[is_origin & (table.verdict != EQUAL)].itertuples():
        name = row.value.removeprefix("provenance ")
        if row.committed is not None and name.split()[0] in ORIGIN:
            lines.append(f"  {name} differs: {row.committed}, now {row.repeated}")
    return "\n".join(lines)
