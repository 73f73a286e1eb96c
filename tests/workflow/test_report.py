"""A report is built from hostile names and the project's notebooks, and read as a browser would."""

import html.parser
import json
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from made_runs import finish, write_run

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.paper import audit, wording
from gaaplib.runs.provenance import RESULTS

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "workflow" / "report"))

import build  # noqa: E402
import contents  # noqa: E402
import guides  # noqa: E402

HOSTILE = "<script>alert(1)</script>\n````\n# no heading `x`"
ATTRIBUTES = {"script": "src", "link": "href", "img": "src", "a": "href", "iframe": "src", "source": "src"}


class Page(html.parser.HTMLParser):
    """The files that a page loads, its links, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.ids, self.text = [], [], set(), ""
        self.source = path.read_text()
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs[name] for name in ("id", "name") if name in attrs}
        target = attrs.get(ATTRIBUTES.get(tag))
        if target:
            (self.links if tag == "a" else self.loads).append(target)

    def handle_data(self, data):
        self.text += data


def notebook(path, *cells):
    language = {"name": "python", "pygments_lexer": "ipython3"}
    book = nbformat.v4.new_notebook(metadata={"language_info": language}, cells=list(cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


def code(source, *outputs, tags=()):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})
    cell.outputs = list(outputs)
    return cell


def text(words):
    return nbformat.v4.new_output("stream", text=words)


def shown(**data):
    return nbformat.v4.new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})


def failed(traceback=HOSTILE):
    return nbformat.v4.new_output("error", ename="ValueError", evalue="x", traceback=[f"\x1b[0;31m{traceback}\x1b[0m"])


def prose(words):
    return nbformat.v4.new_markdown_cell(words)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A finished run, a diverged, a failed and an unfinished one; and executed notebooks."""
    outputs = tmp_path_factory.mktemp("report") / "outputs"
    run = write_run(outputs, [0.25, 0.75, 0.5] * 10)
    finish(runs.begin(RunConfig("smoke", seed=1), outputs), status="diverged", reason=HOSTILE)
    notebook(runs.begin(RunConfig("smoke", seed=2), outputs).folder / "notebook.ipynb", code("run()", failed()))
    runs.begin(RunConfig("smoke", seed=3), outputs)
    committed = nbformat.read(PROJECT / "notebooks" / "02_train.ipynb", 4)
    given = code("# Parameters\nseed = 0", tags=["injected-parameters"])
    cells = [prose("# 2 · One run"), *[c for c in committed.cells if c.cell_type == "code"], given]
    cells.append(code("print(run)", text(f"{run.folder.name}\n")))
    notebook(outputs / "notebooks" / "02_train.ipynb", *cells)
    notebook(outputs / "notebooks" / "synthetic-raid" / "01_data.ipynb", prose("# 1 · Other"), code("x", failed()))
    (outputs / "notebooks" / "08_sota_comparison.ipynb").write_text('{"cells": [')
    # A killed graph leaves an empty file of a log that was moved away.
    (outputs / "notebooks" / "unfinished").mkdir()
    (outputs / "notebooks" / "unfinished" / "02_train.ipynb").touch()
    return outputs


@pytest.fixture(scope="module")
def pages(outputs):
    """The pages of a report built without warnings, by their path in it."""
    folder = build.build(PROJECT, outputs, strict=True).parent
    return {str(path.relative_to(folder)): Page(path) for path in sorted(folder.rglob("*.html")) if not is_js(path)}


def is_js(path):
    return "_static" in path.parts


def test_each_notebook_has_a_page(pages):
    names = {path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")} | {"01_data-synthetic-raid"}
    assert {Path(name).stem for name in pages if name.startswith("notebooks/")} == names
    assert {"index.html", "claims.html", "runs.html", "failures.html", "search.html"} <= set(pages)


def test_nothing_comes_from_the_network(pages, outputs):
    for name, page in pages.items():
        assert not [target for target in page.loads if re.match(r"(\w+:)?//", target)], name
    for path in (outputs / "report").rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text()), path


def test_every_link_leads_somewhere(pages, outputs):
    for name, page in pages.items():
        for target in page.links + page.loads:
            if re.match(r"https?:|data:|mailto:", target):
                continue
            file, _, anchor = unquote(target).partition("#")
            path = (outputs / "report" / name).parent / file.split("?")[0] if file else outputs / "report" / name
            assert path.is_file(), f"{name}: {target}"
            if anchor and path.suffix == ".html":
                assert anchor in pages[str(path.resolve().relative_to((outputs / "report").resolve()))].ids, target


def test_the_first_page_has_three_findings_with_a_figure_each(pages, outputs):
    page = pages["index.html"]
    figures = [target for target in page.loads if "finding-" in target]
    assert figures == [f"_static/finding-{number}.png" for number in (1, 2, 3)]
    assert all((outputs / "report" / figure).stat().st_size > 10_000 for figure in figures)
    for words in ("80 of 80 differences are +0.124", "attention class minus none", "methods in order"):
        assert words in page.text
    assert {"notebooks/10_paper_audit.html", "notebooks/08_sota_comparison.html"} <= set(page.links)


def test_the_runs_are_a_csv_file_too(pages, outputs):
    table = pd.read_csv(outputs / "report" / "_static" / "runs.csv", dtype=str)
    assert RunConfig("smoke").run_id in set(table.run)
    assert {"retrieval mAP", "closed mRA", "data"} <= set(table)
    assert "_static/report.js" in " ".join(pages["runs.html"].loads)


def test_guides_link_to_each_other_and_to_notebooks(pages):
    assert {f"guides/{name}.html" for name in guides.GUIDES} <= set(pages)
    links = pages["guides/start.html"].links
    assert {"photographs.html", "cluster.html", "adding-a-method.html"} <= {link.split("#")[0] for link in links}
    # The README is no page of the report: its name stays, without a link.
    assert not [link for page in pages.values() for link in page.links if link.endswith((".md", ".ipynb", ".cff"))]


def test_the_reference_has_the_names_that_users_import(pages):
    ids = {name for path, page in pages.items() if path.startswith("reference/") for name in page.ids}
    for name in (
        "metrics.evaluate_embeddings",
        "attention.CrossFeatureAttention",
        "config.RunConfig",
        "runs.folder.Run",
    ):
        assert f"gaaplib.{name}" in ids
    assert "gaaplib.metrics.evaluate_embeddings" in pages["reference/gaaplib.html"].text


def test_formulas_have_their_renderer(pages, outputs):
    page = pages["notebooks/06_attention_maps.html"]
    assert r"\[" in page.source
    (script,) = [target for target in page.loads if "MathJax.js" in target]
    assert (outputs / "report" / "notebooks" / script.split("?")[0]).is_file()


def test_no_name_becomes_code(pages):
    for name, page in pages.items():
        assert "<script>alert" not in page.source, name
    for name in ("failures.html", "runs.html"):
        assert "alert(1)" in pages[name].text or name == "runs.html"
    assert "# no heading `x`" in pages["failures.html"].text


def test_the_executed_notebook_is_shown_and_labelled(pages):
    page = pages["notebooks/02_train.html"]
    assert "executed: outputs/notebooks/02_train.ipynb" in page.text
    assert "seed = 0" in page.text and RunConfig("smoke").run_id in page.text
    assert f"../runs.html#{RunConfig('smoke').run_id}" in page.links
    assert "as committed" in pages["notebooks/10_paper_audit.html"].text


def test_a_notebook_that_was_changed_since_is_marked(pages):
    assert "the notebook has changed since" in pages["notebooks/01_data-synthetic-raid.html"].text
    assert "1 · Other (synthetic-raid)" in pages["index.html"].text


def test_a_notebook_that_is_cut_off_fails_and_its_committed_form_is_shown(pages):
    assert "as committed" in pages["notebooks/08_sota_comparison.html"].text
    assert "outputs/notebooks/08_sota_comparison.ipynb" in pages["failures.html"].text


def test_failures_are_those_without_a_result(pages, outputs):
    found = contents.failures(outputs)
    assert [failure.name for failure in found] == ["08_sota_comparison", "01_data", RunConfig("smoke", seed=2).run_id]
    assert found[-1].traceback == HOSTILE
    assert contents.unfinished(outputs, found) == [RunConfig("smoke", seed=3).run_id]
    assert contents.unscored(contents.all_runs(outputs, outputs)) == {
        RunConfig("smoke", seed=1).run_id: f"diverged: {HOSTILE}"
    }


def test_a_run_is_named_with_scores_and_origin(pages):
    run_id, text = RunConfig("smoke").run_id, pages["runs.html"].text
    assert {run_id, f"from-{run_id}"} <= pages["runs.html"].ids
    for words in ("0.500\u00a0[", "synthetic", "diverged", run_id, f"{RESULTS}", "no closed score (-) if it was"):
        assert words in text, words


def test_a_run_without_a_closed_score_has_a_dash_and_one_without_any_says_why(tmp_path):
    whole = write_run(tmp_path, [0.9] * 20, training_images="all")
    diverged = runs.begin(RunConfig("smoke", seed=5), tmp_path)
    finish(diverged, status="diverged", reason="it did")
    assert contents.scores(whole)["closed mRA"] == "-"
    assert {contents.scores(diverged)[name] for name in ("closed mRA", "retrieval mAP")} == {"diverged"}


def test_a_score_whose_interval_contains_chance_is_marked(tmp_path):
    high, low = write_run(tmp_path, [0.9] * 20), write_run(tmp_path, [0.1] * 20, seed=4)
    assert contents.scores(high)["retrieval mAP"] == "0.900 [0.900, 0.900]"
    assert contents.scores(low)["retrieval mAP"].endswith(wording.CHANCE)


def test_an_older_run_without_a_results_number_is_shown(tmp_path):
    run = write_run(tmp_path, [0.5, 0.5])
    metrics = run.metrics
    del metrics["provenance"]["results"]
    (run.folder / "metrics.json").write_text(json.dumps(metrics))
    assert contents.provenance(run)["results"] == "not recorded"


def test_own_runs_come_before_committed_ones(tmp_path):
    own, committed = write_run(tmp_path / "own", [0.5, 0.5]), write_run(tmp_path / "reference", [0.4, 0.4])
    other = write_run(tmp_path / "reference", [0.4, 0.4], seed=9)
    found = contents.all_runs(tmp_path / "own", tmp_path / "reference")
    assert set(found.values()) == {own, other} and committed not in found.values()


def test_each_claim_is_shown_in_a_notebook(pages):
    names = list(audit.read("claims").claim)
    assert set(contents.SHOWN_IN) == set(names)
    page = pages["claims.html"]
    assert {f"claim-{number}" for number in range(1, len(names) + 1)} <= page.ids
    assert all(claim in page.text for claim in names)
    assert page.links.count("notebooks/10_paper_audit.html") >= len(names)


def small_project(folder):
    """A project of two notebooks, one with two top headings and a panel."""
    panel = shown(**{"application_vnd.jupyter.widget-view+json": {"model_id": "x"}, "text_plain": "VBox()"})
    table = shown(text_html="<table><tr><td>0.5 [0.4, 0.6]</td></tr></table>", text_plain="")
    first = [prose("# One\n\n## Two\n\n```\n# code\n```"), prose("# Three\n\n## Four"), code("x", panel, table)]
    notebook(folder / "notebooks" / "01_one.ipynb", *first)
    notebook(folder / "notebooks" / "02_two.ipynb", prose("# Two"))
    for path in guides.GUIDES.values():
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / path, folder / path)
    for number, path in enumerate(sorted((folder / "notebooks").glob("*.ipynb"))):
        book = nbformat.read(path, 4)
        for index, cell in enumerate(book.cells):
            cell.id = f"cell-{number}-{index}"
        nbformat.write(book, path)
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_report_is_replaced_whole_and_the_same_inputs_give_the_same_bytes(tmp_path, monkeypatch):
    # Slow: it builds the networks whose parameters the claims count.
    monkeypatch.setattr(contents, "judged_claims", lambda found: [])
    project, outputs = small_project(tmp_path / "project"), tmp_path / "outputs"
    index = build.build(project, outputs, strict=True, reference=False)
    before = files(index.parent)
    build.build(project, outputs, strict=True, reference=False)
    assert files(index.parent) == before
    assert "There are no runs yet" in (index.parent / "runs.html").read_text()
    assert "No run and no notebook" in (index.parent / "failures.html").read_text()
    page = (index.parent / "notebooks" / "01_one.html").read_text()
    assert "<h1>One" in page and "<h2>Three" in page and "<h3>Four" in page and "# code" in page
    assert "VBox" not in page and build.PANEL.split("`")[0] in page
    assert "0.5\u00a0[0.4,\u00a00.6]" in page
    (project / "notebooks" / "02_two.ipynb").unlink()
    build.build(project, outputs, reference=False)
    assert not (index.parent / "notebooks" / "02_two.html").exists()
    assert [path.name for path in outputs.iterdir()] == ["report"]


def test_a_build_that_fails_leaves_the_report_that_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "judged_claims", lambda found: [])
    (tmp_path / "outputs" / "report").mkdir(parents=True)
    (tmp_path / "outputs" / "report" / "index.html").write_text("before")
    monkeypatch.setattr(build, "build_main", lambda arguments: 2)
    with pytest.raises(RuntimeError, match="Sphinx could not build"):
        build.build(small_project(tmp_path / "project"), tmp_path / "outputs")
    assert files(tmp_path / "outputs") == {"report/index.html": b"before"}
