"""Build the report (`make report`): an offline HTML book of the executed notebooks, runs, failures and claims.

    python workflow/report/build.py [--strict]

The report is built in a new folder and replaces outputs/report when it is complete. Sphinx's warnings are shown; with
--strict, a single warning fails the build.
"""

import argparse
import re
import shutil
import tempfile
from pathlib import Path

import contents
import findings
import guides
import jinja2
import jupyter_server_mathjax
import markupsafe
import nbformat
import pandas as pd
from sphinx.cmd.build import build_main

from gaaplib.project import outputs_folder, project_folder

HERE = Path(__file__).parent
# The parts of MathJax that are copied; not other output formats, languages, or its accessibility menu.
MATHJAX = ("MathJax.js", "LICENSE", "config", "extensions", "fonts", "localization/en", "jax/element", "jax/input/TeX")
MATHJAX += ("jax/output/HTML-CSS",)


def build(project, outputs, *, strict=False, reference=True):
    """Build the report of ``outputs`` and return the path of its first page.

    Args:
        project: folder with ``notebooks/``, ``data/`` and ``outputs/reference/``.
        outputs: folder with ``runs/`` and ``notebooks/``; the report is written to ``report/`` in it.
        strict: whether a warning of Sphinx fails the build.
        reference: whether the library's reference is part of it, for which the library is imported.

    Raises:
        RuntimeError: Sphinx failed; an earlier report stays.
    """
    target = outputs / "report"
    outputs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=outputs, prefix=".report-") as folder:
        source, built = Path(folder) / "source", Path(folder) / "html"
        _write_source(source, project, outputs, reference)
        more = ["-W", "--keep-going"] if strict else []
        doctrees = str(Path(folder) / "doctrees")
        if build_main(["-b", "html", "-q", *more, "-d", doctrees, str(source), str(built)]):
            raise RuntimeError("Sphinx could not build the report; its messages are above")
        for name in (".buildinfo", "objects.inv"):
            (built / name).unlink(missing_ok=True)
        if target.exists():
            target.rename(Path(folder) / "before")
        built.rename(target)
    return target / "index.html"


def _write_source(source, project, outputs, reference):
    """Write all files that Sphinx reads."""
    books = contents.notebooks(project, outputs)
    found = contents.all_runs(outputs, project / "outputs" / "reference")
    failed = contents.failures(outputs)
    (source / "notebooks").mkdir(parents=True)
    shutil.copytree(HERE / "_static", source / "_static")
    guides.write(project, source)
    known = {
        "findings": findings.write(project / "outputs" / "reference", source / "_static"),
        "guides": guides.GUIDES,
        "reference": guides.write_reference(project / "gaaplib", source) if reference else [],
        "notebooks": books,
        "names": {book.name for book in books},
        "runs": found,
        "scores": [contents.scores(run) for run in found.values()],
        "origins": [contents.provenance(run) for run in found.values()],
        "failures": failed,
        "unfinished": contents.unfinished(outputs, failed),
        "unscored": contents.unscored(found),
        "claims": contents.judged_claims(found),
        "shown_in": contents.SHOWN_IN,
        "audit": contents.AUDIT,
    }
    pd.DataFrame(known["scores"]).to_csv(source / "_static" / "runs.csv", index=False)
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "pages"),
        autoescape=True,
        finalize=_escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for path in sorted((HERE / "pages").glob("*.md")):
        (source / path.name).write_text(pages.get_template(path.name).render(known))
    origin = pages.get_template("origin.html")
    for book in books:
        foot = origin.render(book=book, runs=found)
        nbformat.write(page(book, foot), source / "notebooks" / f"{book.name}.ipynb")
    shutil.copy(HERE / "conf.py", source)
    _copy_mathjax(source / "_static" / "mathjax")


def _escaped(value):
    """Escape a value for HTML, and backticks too: three of them would end the Markdown block around it."""
    if isinstance(value, markupsafe.Markup):
        return value
    return markupsafe.Markup(whole_intervals(str(markupsafe.escape(value)).replace("`", "&#96;")))


def whole_intervals(html):
    """Return HTML in which a score and its interval, 0.663 [0.594, 0.732], stay on one line."""
    return INTERVAL.sub("\\1\u00a0[\\2,\u00a0\\3]", html)


INTERVAL = re.compile(r"(\d) \[([-+\d.]+), ([-+\d.]+)\]")


def page(notebook, foot):
    """Return a notebook for the report: code folded, one top heading, no widgets, and its origin at the end.

    Args:
        notebook: a :class:`contents.Notebook`; its book is changed in place.
        foot: HTML for the last cell.
    """
    book, firsts = notebook.book, 0
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        # Tags of papermill and nbval are dropped.
        cell.metadata = {"tags": ["hide-input"] if cell.cell_type == "code" else []}
        if cell.cell_type == "markdown":
            firsts, cell.source = _lowered(cell.source, firsts, notebook.title)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGETS in data:
                output.data = {"text/plain": PANEL}
            elif "text/html" in data:
                data["text/html"] = whole_intervals("".join(data["text/html"]))
    book.cells.append(nbformat.v4.new_markdown_cell(foot, id="origin"))
    return book


WIDGETS = "application/vnd.jupyter.widget-view+json"
PANEL = (
    "An interactive panel is shown here in the notebook itself, see `make lab`. The figures of this page are static."
)


def _lowered(text, firsts, title):
    """The text with the title as its first heading; from a second heading of that level on, all are one level lower."""
    lines, is_code = [], False
    for line in text.splitlines():
        is_code ^= line.startswith("```")
        if line.startswith("#") and not is_code:
            firsts += line.startswith("# ")
            line = f"#{line}" if firsts > 1 else f"# {title}" if line.startswith("# ") else line
        lines.append(line)
    return firsts, "\n".join(lines)


def _copy_mathjax(target):
    static = Path(jupyter_server_mathjax.__file__).parent / "static"
    for name in MATHJAX:
        copy = shutil.copytree if (static / name).is_dir() else shutil.copy
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(static / name, target / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="fail on a warning of Sphinx")
    print(build(project_folder(), outputs_folder().resolve(), strict=parser.parse_args().strict))
