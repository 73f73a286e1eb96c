"""Looks at a training while it goes on: the rows of its ``history.csv``, which grows by one with each epoch."""

import time

import pandas as pd


def epochs(run, *, every=2.0):
    """Yield the history of a run, a DataFrame, whenever it has grown; it ends when the run is finished.

    Args:
        run: a :class:`gaaplib.runs.Run`, finished or not.
        every: seconds between two looks.
    """
    seen = 0
    while True:
        # In this order, so that the last rows are not missed.
        over, history = run.is_done(), _history(run)
        if len(history) > seen:
            seen = len(history)
            yield history
        if over:
            return
        time.sleep(every)


def _history(run):
    try:
        return run.history
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
