"""`make report`: an HTML book of the executed notebooks, runs, failures and claims that is read without a network.

    python workflow/report/build.py [--strict]

It is built in a fresh folder and takes the place of outputs/report when it is whole. Warnings of Sphinx are shown; with
--strict, one is enough to fail.
"""

import argparse
import re
import shutil
import tempfile
from pathlib import Path

import contents
import jinja2
import jupyter_server_mathjax
import markupsafe
import nbformat
from sphinx.cmd.build import build_main

from gaaplib.project import outputs_folder, project_folder

HERE = Path(__file__).parent
# The rest is other output than HTML, other languages, and what a screen reader's menu would load.
MATHJAX = ("MathJax.js", "LICENSE", "config", "extensions", "fonts", "localization/en", "jax/element", "jax/input/TeX")
MATHJAX += ("jax/output/HTML-CSS",)


def build(project, outputs, *, strict=False):
    """Build the report of ``outputs``, and answer the path of its first page.

    Args:
        project: folder with ``notebooks/``, ``data/`` and ``outputs/reference/``.
        outputs: folder with ``runs/`` and ``notebooks/``; the report is ``report/`` in it.
        strict: whether a warning of Sphinx fails.

    Raises:
        RuntimeError: Sphinx failed; the report that was there stays.
    """
    target = outputs / "report"
    outputs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=outputs, prefix=".report-") as folder:
        source, built = Path(folder) / "source", Path(folder) / "html"
        _write_source(source, project, outputs)
        more = ["-W", "--keep-going"] if strict else []
        doctrees = str(Path(folder) / "doctrees")
        if build_main(["-b", "html", "-q", *more, "-d", doctrees, str(source), str(built)]):
            raise RuntimeError("Sphinx could not build the report; what it said is above")
        for name in (".buildinfo", "objects.inv"):
            (built / name).unlink(missing_ok=True)
        if target.exists():
            target.rename(Path(folder) / "before")
        built.rename(target)
    return target / "index.html"


def _write_source(source, project, outputs):
    """Everything that Sphinx reads."""
    books = contents.notebooks(project, outputs)
    found = contents.all_runs(outputs, project / "outputs" / "reference")
    failed = contents.failures(outputs)
    known = {
        "notebooks": books,
        "names": {book.name for book in books},
        "runs": found,
        "scores": [contents.scores(run) for run in found.values()],
        "origins": [contents.provenance(run) for run in found.values()],
        "failures": failed,
        "unfinished": contents.unfinished(outputs, failed),
        "diverged": contents.diverged(found),
        "claims": contents.judged_claims(found),
        "shown_in": contents.SHOWN_IN,
        "audit": contents.AUDIT,
    }
    (source / "notebooks").mkdir(parents=True)
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
    shutil.copytree(HERE / "_static", source / "_static")
    _copy_mathjax(source / "_static" / "mathjax")


def _escaped(value):
    """What stands in a page as HTML, in Markdown too: three backticks would end the block that it is in."""
    if isinstance(value, markupsafe.Markup):
        return value
    return markupsafe.Markup(whole_intervals(str(markupsafe.escape(value)).replace("`", "&#96;")))


def whole_intervals(html):
    """HTML in which no line breaks within a score and its interval: 0.663 [0.594, 0.732]."""
    return INTERVAL.sub("\\1\u00a0[\\2,\u00a0\\3]", html)


INTERVAL = re.compile(r"(\d) \[([-+\d.]+), ([-+\d.]+)\]")


def page(notebook, foot):
    """A notebook as it is read: code folded away, one first heading, no widgets, and where it comes from at its end.

    Args:
        notebook: a :class:`contents.Notebook`; its book is changed.
        foot: HTML for the last cell.
    """
    book, firsts = notebook.book, 0
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        # Other tags are papermill's and nbval's.
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
PANEL = "An interactive panel stands here: `make lab` opens the notebook with it. The figures of this page are still."


def _lowered(text, firsts, title):
    """The text with the title as its first heading, and all behind a second one of that level a level lower."""
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
    parser.add_argument("--strict", action="store_true", help="a warning of Sphinx fails")
    print(build(project_folder(), outputs_folder().resolve(), strict=parser.parse_args().strict))
