"""Results as text: table cells, captions, and sentences on many pairs of runs."""

import pandas as pd
from made_runs import CHANCE, finish, leave

from gaaplib.evaluation.statistics import Interval
from gaaplib.paper import audit, tables, wording
from gaaplib.paper.plan import Plan

PRINTED = audit.read("paper_tables_1_2_3")


def test_an_interval_that_reaches_down_to_chance_is_at_chance():
    assert wording.is_at_chance(Interval(0.5, 0.1, 0.9, 0.95, 20), 0.1)
    assert not wording.is_at_chance(Interval(0.5, 0.11, 0.9, 0.95, 20), 0.1)


def test_lines_break_between_words_only():
    lines = wording.filled("a-long-word " * 30).split("\n")
    assert len(lines) > 1
    assert all(len(line) <= 96 and "word" in line.split()[-1] for line in lines)


def test_a_mean_says_how_many_runs_it_is_of():
    row = pd.Series({"mean": 0.5, "sd": 0.1, "n": 3, "planned": 5})
    assert wording.mean_in_words(row) == "0.500 \u00b1 0.100 (sd of 3 of 5)"
    row["n"] = 1
    assert wording.mean_in_words(row) == "1 of 5 runs"


def test_photographs_are_not_called_synthetic(tmp_path):
    study = Plan("smoke", data=str(tmp_path), backbones=("resnet18",), datasets=("raid",), precision="float32")
    found = tables.scores(study.matrix(), "closed", "mRA", tmp_path)
    assert "ours, fold 0" in tables.beside_paper(found, PRINTED, "II")
    assert "on photographs;" in wording.caption("closed", "mRA", found)
    # Other photographs in the layout of a data set are not that data set.
    first, second, _ = study.matrix()
    leave(first, tmp_path)
    assert "on photographs;" in wording.caption("closed", "mRA", tables.scores([first], "closed", "mRA", tmp_path))
    data = {"fingerprint": "f", "undecodable": 0, "as_published": False}
    finish(leave(second, tmp_path), data=data, closed={"chance": CHANCE, "num_images": 40})
    found = tables.scores(study.matrix(), "closed", "mRA", tmp_path)
    caption = wording.caption("closed", "mRA", found).replace("\n  ", " ")
    assert "on photographs (not the published raid);" in caption


def test_a_table_is_shown_whole_and_the_same_each_time(monkeypatch):
    table = pd.DataFrame({"score": [0.12345, float("nan")], "why": ["<b>", "x" * 300]}, index=["a", "b"])
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    for _ in range(2):
        wording.show(table)
    assert shown[0] == shown[1]
    html, text = shown[0]["text/html"], shown[0]["text/plain"]
    assert "0.123<" in html and "nan" not in html and "x" * 300 in html and "x" * 300 in text
    assert "<b>" not in html


def test_only_a_long_table_scrolls_and_a_missing_value_is_empty(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data["text/html"]))
    for rows in (wording.LONG, wording.LONG + 1):
        wording.show(pd.DataFrame({"count": pd.array([None, *range(rows - 1)], "Int64")}))
    assert ['class="long"' in html for html in shown] == [False, True]
    assert not [html for html in shown if "NA" in html]
