"""What every notebook keeps to; nbval executes them all and compares their outputs (make test)."""

import ast
import dataclasses
import re
import statistics
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import papermill
import pytest
from made_runs import write_run

from gaaplib.batch import TYPES, parse_parameters
from gaaplib.config import RunConfig

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(name):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def describes_a_run(name):
    """Whether the parameters are those of a configuration; other notebooks read what runs left."""
    return "RunConfig.from_notebook(" in "".join(cell.source for cell in code_cells(name))


@pytest.fixture(params=NOTEBOOKS)
def name(request):
    return request.param


@pytest.fixture(params=[name for name in NOTEBOOKS if describes_a_run(name)])
def run_name(request):
    return request.param


@pytest.fixture(params=[name for name in NOTEBOOKS if "runs_folder" in code_cells(name)[0].source])
def reader_name(request):
    return request.param


def test_the_first_code_cell_holds_annotated_literals_with_help(name):
    first = code_cells(name)[0]
    assert first.metadata.tags == ["parameters"]
    for statement in ast.parse(first.source).body:
        assert isinstance(statement, ast.AnnAssign)
        ast.literal_eval(statement.value)
    for parameter in papermill.inspect_notebook(str(FOLDER / f"{name}.ipynb")).values():
        assert parameter["help"], parameter["name"]
        kind = parameter["inferred_type_name"]
        assert kind.removeprefix("Optional[").removesuffix("]") in TYPES, parameter


def test_the_defaults_make_a_valid_demo_configuration(run_name):
    namespace = {}
    for cell in code_cells(run_name)[:2]:
        exec(cell.source, namespace)
    assert namespace["config"] == RunConfig()


def test_annotations_and_the_configuration_agree(run_name):
    # `gaap run` parses by the annotation; what it lets through, the configuration has to take.
    known = papermill.inspect_notebook(str(FOLDER / f"{run_name}.ipynb"))
    fields = [field.name for field in dataclasses.fields(RunConfig)]
    # What is no field is the notebook's own affair.
    for parameter, described in ((name, known[name]) for name in known if name in fields):
        value = getattr(RunConfig(), parameter)
        kind = described["inferred_type_name"]
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert parse_parameters([(parameter, text)], known, run_name) == {parameter: value}
        if kind.startswith("Optional["):
            assert parse_parameters([(parameter, "None")], known, run_name) == {parameter: None}


def test_every_setting_is_a_parameter_of_02():
    known = papermill.inspect_notebook(str(FOLDER / "02_train.ipynb"))
    assert set(known) == {field.name for field in dataclasses.fields(RunConfig)} | {"tensorboard"}


def test_it_reads_as_prose_and_has_no_trick(name):
    cells = code_cells(name)[1:]
    lines = [len(cell.source.splitlines()) for cell in cells]
    assert statistics.median(lines) <= 5
    assert max(lines) <= 15
    words = sum(len(cell.source.split()) for cell in read(name).cells if cell.cell_type == "markdown")
    assert words > 3 * sum(lines)
    source = "\n".join(cell.source for cell in cells)
    assert not re.search(r"^\s*[%!]|sys\.path|import \*|[\"'](?:/|~)\w", source, re.MULTILINE)


@pytest.mark.parametrize(("attention", "use"), [("class", "Eq. 4"), ("none", "attention='none' does not use")])
def test_02_says_whether_partners_are_used(attention, use, capsys):
    (cell,) = (cell.source for cell in code_cells("02_train") if "partnered_share" in cell.source)
    exec(cell, {"config": RunConfig(attention=attention), "metrics": {"partnered_share": 0.25}})
    said = capsys.readouterr().out
    assert said.startswith("25% of the training images shared a batch") and use in said


def test_06_names_its_figures_by_the_run_so_that_other_data_overwrite_nothing(tmp_path):
    cell, saved = code_cells("06_attention_maps")[-1].source, []
    for dataset in ("market1501", "cuhk03"):
        folder = tmp_path / RunConfig("smoke", dataset=dataset).run_id
        study = SimpleNamespace(main=SimpleNamespace(folder=folder))
        figure = SimpleNamespace(savefig=lambda path, **_: saved.append(path))
        exec(cell, {"study": study, "figures": {"cells": figure}, "outputs_folder": lambda: tmp_path})
    assert len(set(saved)) == 4 and "market1501" in saved[0].name and "cuhk03" in saved[-1].name


def test_it_is_committed_with_outputs_that_tell_nothing_of_a_machine(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [kind for cell in cells for output in cell.outputs for kind in output.get("data", {})]
    assert {"image/png", "image/jpeg"} & {*kinds}
    # Widgets need a kernel, which most readers do not have.
    assert "application/vnd.jupyter.widget-view+json" not in kinds
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1.5e6
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert not re.search(r"(?:/\w+){2,}/outputs", str(output.get("text", "")))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sed": 3}, "unknown parameter 'sed' .did you mean seed..; known: profile, "),
        ({"seed": "3"}, "seed='3' is a str; expected int"),
    ],
)
def test_plain_papermill_stops_in_the_first_cells(tmp_path, parameters, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message) as caught:
        papermill.execute_notebook(
            str(FOLDER / "01_data.ipynb"),
            str(tmp_path / "out.ipynb"),
            parameters=parameters,
            cwd=str(FOLDER),
            progress_bar=False,
        )
    assert caught.value.exec_count <= 3


def write_runs(outputs, **changes):
    """A run with attention and one without, with made-up scores on the same queries."""
    for attention, share in (("class", 0.8), ("none", 0.5)):
        first_hit = np.where(np.arange(40) < 40 * share, 1, 5)
        write_run(outputs, np.full(40, share), first_hit=first_hit, attention=attention, **changes)


def printed(notebook):
    return "\n".join(str(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", []))


def test_the_readme_quotes_what_the_notebooks_print():
    section = (FOLDER.parent / "README.md").read_text().split("## What came out")[1].split("\n## ")[0]
    blocks = section.split("```")[1::2]
    quoted = [line.split(maxsplit=1) for block in blocks for line in block.removeprefix("text").split("\n") if line]
    assert len(quoted) > 5
    for notebook, words in quoted:
        assert words in " ".join(printed(read(notebook)).split()), words


FEWER = {"03_backbones": {"backbones": "resnet18"}}
"""Parameters with which a notebook builds fewer networks: nbval has it build all."""


def test_notebooks_that_read_runs_take_real_and_synthetic_ones(reader_name, tmp_path):
    for source in ("synthetic", "somewhere"):
        write_runs(tmp_path / "outputs", data=source, training_images="all")
    executed = papermill.execute_notebook(
        str(FOLDER / f"{reader_name}.ipynb"),
        None,
        parameters={"runs_folder": str(tmp_path / "outputs"), **FEWER.get(reader_name, {})},
        cwd=str(FOLDER),
        progress_bar=False,
    )
    words = printed(executed)
    assert "no finished runs" not in words.lower()
    if reader_name == "10_paper_audit":
        assert "4 runs, 2 of them on synthetic data" in words
        assert "supported: 2 of" in words
