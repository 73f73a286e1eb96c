"""Each notebook runs in JupyterLab from top to bottom, what it trains in the smoke profile; the explorer answers."""

import pytest
from browser.explorer import CELLS, answered, choose_another, dropdown, press
from browser.lab import NOTEBOOKS
from browser.window import complaints, photographed, run_all


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_from_top_to_bottom(lab, page, pictures, name):
    with photographed(page, pictures, name):
        run_all(page, lab.address(name))
        assert complaints(page) == []
        cells = [cell for cell in lab.saved(name).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name.endswith("_explorer")])
def test_the_explorer_answers_key_and_mouse(lab, page, pictures, name):
    with photographed(page, pictures, f"{name}-answers"):
        run_all(page, lab.address(name))
        cells, kinds = page.locator(CELLS), dropdown(page, "map")
        with answered(page):
            choose_another(dropdown(page, "query"))
        with answered(page):
            cells.first.click()
        # Where that position attends, is the question then.
        assert kinds.evaluate("select => select.selectedIndex") == 1
        with answered(page):
            press(cells.last)
        for name in ("map", "layer"):
            with answered(page):
                choose_another(dropdown(page, name))
        assert complaints(page) == []
