"""One run on disk: written, read, found and compared."""

from gaaplib.runs.data import FOLDS, Data, load_data
from gaaplib.runs.folder import SCHEMA, Run, begin, find, finish, finished, readable
from gaaplib.runs.scores import (
    CLOSED_MEASURES,
    COLUMNS,
    MEASURES,
    PROTOCOLS,
    RANKS,
    cmc,
    compare,
    compare_closed,
    difference,
    interval,
    ordered,
    table,
)

__all__ = [
    "CLOSED_MEASURES",
    "COLUMNS",
    "FOLDS",
    "MEASURES",
    "PROTOCOLS",
    "RANKS",
    "SCHEMA",
    "Data",
    "Run",
    "begin",
    "cmc",
    "compare",
    "compare_closed",
    "difference",
    "find",
    "finish",
    "finished",
    "interval",
    "load_data",
    "ordered",
    "readable",
    "table",
]
