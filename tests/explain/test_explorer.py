"""The widgets of the explorer; the run is a smoke run on synthetic images."""

import base64
import io
import re

import matplotlib.pyplot as plt
import pytest
from made_images import write_photos
from made_onnx import write_onnx
from PIL import Image

from gaaplib import experiment
from gaaplib.config import RunConfig
from gaaplib.explain import explorer


@pytest.fixture
def shown(run, cache):
    return explorer._Explorer([run], None, cache, False)


def size(picture):
    return Image.open(io.BytesIO(picture)).size


def test_the_first_view_is_the_middle_query_and_each_widget_changes_it(shown, index):
    assert isinstance(explorer.explorer(shown.run.value, outputs=shown.run.value.folder.parents[1]), type(shown.box))
    assert shown.query.value == index.order[len(index.order) // 2]
    assert size(shown.image.value) == (32, 64)
    views = [shown.sheet.value]
    for change in (
        lambda: setattr(shown.query, "value", int(index.order[0])),
        lambda: setattr(shown.kind, "value", "energy"),
        lambda: setattr(shown.layer, "value", "stage1"),
        lambda: shown.cells.children[0].click(),
        lambda: shown.cells.children[-1].click(),
    ):
        change()
        views.append(shown.sheet.value)
    assert len(set(views)) == len(views)
    assert not plt.get_fignums()


def test_an_approximate_answer_says_what_it_finds(run, cache):
    shown = explorer._Explorer([run], None, cache, True)
    assert re.search(r"nearest images \(\d+\.\d% of the 10 nearest images are found\):", shown.words.value)


def test_it_says_so_while_it_works(shown, monkeypatch):
    seen = []
    shown.hint.observe(lambda change: seen.append(change.new), "value")
    monkeypatch.setattr(explorer, "jpeg", lambda figure: seen.append("drawn") or plt.close(figure) or b"")
    shown.cells.children[0].click()
    assert seen == [explorer.BUSY, "drawn", explorer.READY]


def test_a_click_asks_where_that_position_attends(shown):
    assert [cell.position for cell in shown.cells.children] == [(row, column) for row in range(4) for column in (0, 1)]
    shown.kind.value = "energy"
    assert not shown.layer.disabled
    shown.cells.children[3].click()
    assert shown.kind.value == "rollout" and shown.layer.disabled
    assert ["3px" in cell.layout.border_top for cell in shown.cells.children] == [False] * 3 + [True] + [False] * 4
    assert shown.cells.children[3].tooltip == "row 2 of 4, column 2 of 2"


def test_names_of_files_are_escaped(run, cache, tmp_path):
    write_photos(tmp_path, ("a<b>$x$&.jpg", "c.jpg", "<script>.jpg"))
    shown = explorer._Explorer([run], tmp_path, cache, False)
    assert "&lt;script&gt;" in shown.words.value and "a&lt;b&gt;$x$&amp;.jpg" in shown.words.value
    assert "<script>" not in shown.words.value


def test_what_is_wrong_is_shown_in_place_of_an_answer(run, cache, tmp_path):
    write_photos(tmp_path, ("a.jpg",))
    (tmp_path / "<b>.jpg").write_bytes(b"no image")
    shown = explorer._Explorer([run], tmp_path, cache, False)
    assert "1 of 2 images cannot be decoded" in shown.words.value and "&lt;b&gt;.jpg" in shown.words.value
    shown.kind.value = "energy"
    assert not shown.sheet.value


def test_a_model_from_elsewhere_has_sheets_without_maps(run, cache, tmp_path):
    weights = str(write_onnx(tmp_path / "m.onnx"))
    other = experiment.run(RunConfig("smoke", method="external", weights=weights), outputs=cache)
    shown = explorer._Explorer([run, other], None, cache, False)
    with_maps = size(shown.sheet.value)
    shown.run.value = other
    assert shown.kind.disabled and shown.layer.disabled and not shown.cells.children
    assert size(shown.sheet.value)[1] < with_maps[1]
    assert "nearest images" in shown.words.value
    shown.run.value = run
    assert not shown.kind.disabled and shown.cells.children
    assert size(shown.sheet.value) == with_maps


def test_the_list_numbers_what_the_sheet_numbers(shown):
    ranking = shown.index.rank(shown.query.value)
    first = re.findall(r"<tr><td>([^<]+)</td>", shown.words.value)
    assert first == [str(rank or "-") for rank in ranking.ranks]
    assert shown.words.value.count("same camera, left out") == ranking.states.count("same camera")
    assert shown.words.value.count("the same person") == ranking.states.count("match")


def test_two_runs_are_shown_side_by_side_on_one_query(run, plain, cache):
    shown = explorer._Explorer([run, plain], None, cache, False)
    alone = shown.sheet.value
    assert shown.sheets.children == (shown.sheet,) and not shown.second.value
    shown.beside.value = plain
    assert (
        shown.sheets.children == (shown.sheet, shown.second)
        and size(shown.second.value)[0] == size(shown.sheet.value)[0]
    )
    # Each sheet has its run's name.
    assert len({alone, shown.sheet.value, shown.second.value}) == 3
    before = shown.second.value
    shown.query.value = int(shown.index.order[0])
    assert shown.second.value != before
    assert [words for words, _ in shown.layer.options][0] == "after the attention"
    shown.run.value = plain
    assert [words for words, _ in shown.layer.options][0] == "the last map, as there is no attention"
    assert shown.sheets.children == (shown.sheet,)


def test_a_second_run_of_other_queries_is_refused(run, cache):
    other = experiment.run(RunConfig("smoke", dataset="raid", method="histogram"), outputs=cache)
    shown = explorer._Explorer([run, other], None, cache, False)
    shown.beside.value = other
    assert "has other queries than the first run" in shown.words.value
    shown.beside.value = ""
    assert "nearest images" in shown.words.value and shown.sheets.children == (shown.sheet,)


def test_without_a_kernel_it_is_a_picture(shown):
    bundle = shown.box._repr_mimebundle_()
    assert base64.b64decode(bundle["image/jpeg"]) == shown.sheet.value
    assert "application/vnd.jupyter.widget-view+json" in bundle and "VBox" not in bundle["text/plain"]
