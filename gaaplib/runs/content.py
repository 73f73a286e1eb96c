"""What ``metrics.json`` holds, and what is wrong with one that another version, a cut-off copy or an editor left."""

import json
import math

SCHEMA = 1
"""Raised if ``metrics.json`` changes so that older code could not read it."""

WITHOUT_SCORES = ("diverged", "collapsed")
"""The statuses of finished runs without scores; any other finished run is ``"done"``."""


def _is_number(value):
    return type(value) in (int, float) and abs(value) < 1e15 and math.isfinite(value)


def _is_number_or_none(value):
    return value is None or _is_number(value)


def _is_text(value):
    return isinstance(value, str)


def _is_text_or_none(value):
    return value is None or isinstance(value, str)


def _numbers(value):
    return isinstance(value, dict) and all(map(_is_number_or_none, value.values()))


def _scores(value):
    """Scores of a protocol: numbers, the AP convention, and the numbers of chance; None if there are none."""
    if not isinstance(value, dict):
        return value is None
    ap, chance = value.get("ap", "step"), value.get("chance", {})
    rest = {name: number for name, number in value.items() if name not in ("ap", "chance")}
    return _is_text(ap) and _numbers(chance) and _numbers(rest)


# Of each part whether it is right; names with a space are parts of a part.
NEEDED = {
    "run_id": _is_text,
    "status": lambda value: value in ("done", *WITHOUT_SCORES),
    "reason": _is_text_or_none,
    "data": lambda value: isinstance(value, dict),
    "data name": _is_text,
    "data synthetic": lambda value: isinstance(value, bool),
    "data fingerprint": _is_text,
    "counts": lambda value: isinstance(value, dict) and all(map(_numbers, value.values())),
    "partnered_share": _is_number_or_none,
    "closed": _scores,
    "retrieval": _scores,
    "config": lambda value: isinstance(value, dict),
    "provenance": lambda value: isinstance(value, dict),
    "provenance seconds": _numbers,
}

# Older runs may lack these.
OPTIONAL = {
    "train_accuracy": _is_number_or_none,
    "data files": _is_text,
    "data beside": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "data beside_files": _is_text,
    "data trained_on": _is_text,
    "data weights": _is_text,
    "data copies": _is_number,
    "data as_published": lambda value: isinstance(value, bool),
    "provenance results": _is_number,
    "provenance commit": _is_text_or_none,
    "provenance versions": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
    "provenance processor": _is_text,
    "provenance cores": _is_number,
    "provenance threads": _is_number,
    "provenance devices": lambda value: isinstance(value, list),
    "provenance finished": _is_text,
}


def read(path):
    """The content of a ``metrics.json``.

    Raises:
        ValueError: it cannot be read, is of another schema, lacks a part, or a part is wrong; the message has the path.
    """
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    schema = metrics.get("schema") if isinstance(metrics, dict) else None
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(f"{path} has the schema {schema!r:.40}; this version of gaaplib reads {SCHEMA}")
    for name, is_right in {**NEEDED, **OPTIONAL}.items():
        there, value = _part(metrics, name.split())
        if not there and name in NEEDED:
            raise ValueError(f"{path} lacks {name}")
        if there and not is_right(value):
            raise ValueError(f"{path} has a wrong {name}: {value!r:.40}")
    return metrics


def _part(content, names):
    """Whether a part is there, and its value."""
    for name in names:
        if not isinstance(content, dict) or name not in content:
            return False, None
        content = content[name]
    return True, content
