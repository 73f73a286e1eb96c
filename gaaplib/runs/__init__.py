"""One run on disk: written, read, found and compared."""

from gaaplib.runs.content import SCHEMA, WITHOUT_SCORES
from gaaplib.runs.current import out_of_date
from gaaplib.runs.data import Data, check_images, files_now, load_data, same_images
from gaaplib.runs.folder import Run, begin, begun, find, finish, finished, readable
from gaaplib.runs.scores import (
    CLOSED_MEASURES,
    COLUMNS,
    MEASURES,
    PROTOCOLS,
    RANKS,
    cmc,
    compare,
    compare_closed,
    data_name,
    difference,
    interval,
    ordered,
    table,
)

__all__ = [
    "CLOSED_MEASURES",
    "COLUMNS",
    "MEASURES",
    "PROTOCOLS",
    "RANKS",
    "SCHEMA",
    "WITHOUT_SCORES",
    "Data",
    "Run",
    "begin",
    "begun",
    "check_images",
    "cmc",
    "compare",
    "compare_closed",
    "data_name",
    "difference",
    "files_now",
    "find",
    "finish",
    "finished",
    "interval",
    "load_data",
    "ordered",
    "out_of_date",
    "readable",
    "same_images",
    "table",
]
