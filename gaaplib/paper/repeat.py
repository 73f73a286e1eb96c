"""Repeat committed runs, and say value by value whether they come out as they are written down.

A value is ``equal`` where it is the same to the last bit. Elsewhere it ``agrees`` if it is as near as
:func:`tolerances` asks, as another processor rounds differently and training carries that on; else it is
``different``. Identities, counts, fingerprints and what chance gives do not depend on rounding, and have to be equal.
Commit, versions, machine and seconds are ``shown`` and not judged.
"""

import hashlib
import math

import pandas as pd

from gaaplib import experiment, runs

EQUAL, AGREES, DIFFERENT, SHOWN = "equal", "agrees", "different", "shown"

CHANCE = 1e-9
"""Chance is a sum in float64, whose last bits depend on the order of its terms."""

LOSS, ACCURACY = 0.05, 0.1
"""How far the loss of the last epoch may be off, as a share of it, and its accuracy, as a fraction.

Earlier epochs are shown and not judged: the rounding of a first step grows while the learning rate is high, and
shrinks again as that falls. With oneDNN held to the instructions of an older processor (``ONEDNN_MAX_CPU_ISA=AVX2``),
a demo run of ResNet-18 had another validation loss by 11 % in epoch 2 of 5, and by 0.2 % in the last.
"""

ORIGIN = ("results", "commit", "backend", "versions", "processor", "cores", "devices_used")
"""What of a run's provenance is named where two runs differ in it."""

COLUMNS = ("run", "value", "committed", "repeated", "tolerance", "verdict")


def repeat(committed, outputs):
    """Make a run again from its configuration, in another folder, and compare.

    Args:
        committed: a :class:`gaaplib.runs.Run`; of its files, ``model.keras`` is not needed.
        outputs: folder for the repeated run, without a finished one of this name: that would be taken as it is.

    Returns:
        As :func:`compare`.

    Raises:
        ValueError: the configuration of the committed run is another one today.
    """
    config = committed.config
    if config.run_id != committed.folder.name:
        raise ValueError(
            f"{committed.folder / 'config.json'} describes {config.run_id} today: a parameter was added or its default "
            "changed since; make the reference runs again"
        )
    return compare(committed, experiment.run(config, outputs=outputs))


def compare(committed, repeated):
    """Two runs of one configuration beside each other.

    Returns:
        A DataFrame, a row a value: ``run``, ``value``, ``committed``, ``repeated``, ``tolerance`` (0: has to be equal;
        NaN: not judged) and ``verdict``.
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
    """``equal``, ``agrees``, ``different``, or ``shown`` where ``tolerance`` is NaN and the values are not equal."""
    if committed == repeated or (committed != committed and repeated != repeated):
        return EQUAL
    if math.isnan(tolerance):
        return SHOWN
    if any(isinstance(value, str | bool | None) for value in (committed, repeated)):
        return DIFFERENT
    return AGREES if abs(committed - repeated) <= tolerance else DIFFERENT


def tolerances(committed, repeated):
    """How far each value may be off; those that are not named may not.

    Scores: the half-width of the committed run's 95 % interval (:func:`gaaplib.runs.interval`; of the repeated run's,
    where the committed one has no file of single images), and at least 3 images, as an interval without any miss has no
    width and "rule of three" gives 3 / n as its end. CMC(10) and CMC(20) have that of CMC(5).

    Returns:
        ``{value: number}``; NaN for what is not judged.
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
            found[f"{protocol} {key}"] = max((interval.high - interval.low) / 2, least)
        for key, like in (("cmc10", "cmc5"), ("cmc20", "cmc5"), ("micro_accuracy", "cmc1")):
            found[f"{protocol} {key}"] = found[f"{protocol} {like}"]
        found |= {f"{protocol} chance {key}": CHANCE for key in scores["chance"]}
    # The scores sum them up, and are judged.
    found |= {f"per_query {name}": math.nan for name in ("ap", "inp", "first_hit")}
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
    """Everything of a run that can be compared, one name a value: ``{"closed mRA": 0.81, ...}``."""
    metrics = run.metrics
    # What the run_id is a digest of already.
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
    """A table of :func:`compare` for people, with six digits and hashes cut short."""

    def cell(value):
        return f"{value:.6g}" if isinstance(value, float) else f"{value:.24}" if isinstance(value, str) else str(value)

    words = table.drop(columns=["run", "value"]).map(cell)
    words.insert(0, "value", table.value)
    words["tolerance"] = words.tolerance.replace({"nan": "", "0": ""})
    return words.to_string(index=False)


def in_words(table):
    """What a table of :func:`compare` comes to: how many values agree, and what made the two runs.

    Differences of code, versions or machine are named, as a result that is not equal may come from them.
    """
    is_origin = table.value.str.startswith("provenance")
    counts = table[~is_origin].verdict.value_counts()
    judged = ", ".join(f"{counts.get(word, 0)} {word}" for word in (EQUAL, AGREES, DIFFERENT, SHOWN))
    lines = [f"{table.run.iloc[0]}: {judged}"]
    for row in table[is_origin & (table.verdict != EQUAL)].itertuples():
        name = row.value.removeprefix("provenance ")
        if row.committed is not None and name.split()[0] in ORIGIN:
            lines.append(f"  another {name}: {row.committed}, now {row.repeated}")
    return "\n".join(lines)
