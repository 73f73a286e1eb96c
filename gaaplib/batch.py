"""Executes a notebook with papermill: finds it, checks its parameters first, and prints what it prints.

Importing this module imports neither papermill nor Keras, so that a wrong name is refused at once.
"""

import dataclasses
import sys
from pathlib import Path

from gaaplib.config import PATHS, RunConfig, did_you_mean, whole_path
from gaaplib.project import notebooks_folder, outputs_folder
from gaaplib.quiet import is_verbose

TYPES = {"str": str, "int": int, "float": float, "bool": bool}
WORDS = {"true": True, "false": False}


class Failed(Exception):
    """A notebook that did not end; the message says where and what to do."""


def find(notebook):
    """The file itself, or the notebook of that name in the project or, outside of one, in the installed package.

    Raises:
        ValueError: there is none; the message has the known names.
    """
    folder = notebooks_folder()
    for path in (Path(notebook), folder / f"{notebook}.ipynb"):
        if path.is_file():
            return path.resolve()
    known = sorted(path.stem for path in folder.glob("*.ipynb"))
    meant = did_you_mean(notebook, known)
    raise ValueError(f"no notebook {notebook!r}{meant}; known: {', '.join(known) or 'none'}")


def parameters(path):
    """What ``papermill.inspect_notebook`` says of a notebook's parameters, ``{name: dict}``.

    Raises:
        ValueError: the file is no notebook.
    """
    try:
        return _papermill().inspect_notebook(str(path))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is no notebook that can be read: {error}") from error


def described(known):
    """A line for each parameter of :func:`parameters`: name, type, default and help."""
    kinds = {name: each["inferred_type_name"].replace("Optional[", "").rstrip("]") for name, each in known.items()}
    rows = [(name, kinds[name], str(each["default"]).strip("\"'"), each["help"]) for name, each in known.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return "\n".join(lines) or "no parameters"


def parse_parameters(given, known, notebook):
    """Values of the right type from pairs of strings.

    Args:
        given: pairs (name, text) from the command line.
        known: what :func:`parameters` says of the notebook.
        notebook: its name, for messages.

    Raises:
        ValueError: an unknown or repeated name, naming the known ones, or a text that is not of the type.
    """
    values = {}
    for name, text in given:
        if name not in known:
            meant = did_you_mean(name, known)
            raise ValueError(f"{notebook} has no parameter {name!r}{meant}; known: {', '.join(known)}")
        if name in values:
            raise ValueError(f"parameter {name!r} is given twice")
        values[name] = _parse(name, text, known[name]["inferred_type_name"])
    return values


def _parse(name, text, kind):
    """One value; ``kind`` is the annotation in the notebook, such as ``int`` or ``Optional[int]``."""
    optional = kind.startswith("Optional[")
    # As papermill reads it; "none" is a word, of `neck` for example.
    if optional and text == "None":
        return None
    wanted = TYPES.get(kind.removeprefix("Optional[").removesuffix("]"))
    if wanted is None:
        raise ValueError(f"parameter {name!r} has no known type in the notebook: write it as {name}: int = 3")
    try:
        return WORDS[text.lower()] if wanted is bool else wanted(text)
    except (KeyError, ValueError):
        choice = " or None" if optional else ""
        expected = "true or false" if wanted is bool else wanted.__name__
        raise ValueError(f"{name}={text!r}: expected {expected}{choice}") from None


def with_whole_paths(values):
    """Paths as they are from here: the notebook runs in a folder of its own."""
    words = PATHS | dict.fromkeys(("photos", "image_a", "image_b"), "")
    return {name: whole_path(value, words[name]) if name in words else value for name, value in values.items()}


def default_output(path, values, known):
    """A training notebook is kept with its run, another under ``outputs/notebooks``, by its data if it has any."""
    if "profile" not in known:
        return outputs_folder() / "notebooks" / path.name
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    config = RunConfig(**{k: v for k, v in values.items() if k in fields})
    if path.stem == "02_train":
        return outputs_folder() / "runs" / config.run_id / "notebook.ipynb"
    # A notebook of several data sets belongs to none of them.
    place = config.data_name if "dataset" in known else ""
    return outputs_folder() / "notebooks" / place / path.name


def execute(path, target, values):
    """Execute a notebook with these parameters and save it as ``target``; print what it prints.

    Raises:
        Failed: a cell raised an error, or the kernel was killed.
    """
    papermill = _papermill()
    from nbclient.exceptions import DeadKernelError

    try:
        papermill.execute_notebook(
            str(path),
            str(target),
            parameters=values,
            # A notebook of the installed package runs where the command was given, any other in its own folder.
            cwd=str(Path.cwd() if Path(__file__).parent in path.parents else path.parent),
            progress_bar=False,
            # What the notebook prints, as it prints it: the epochs and the sentences.
            stdout_file=Printed(sys.stdout),
            # A progress bar is one line in the executed notebook, not one for each of its steps.
            coalesce_streams=True,
            # Of the kernel's own messages only fatal ones.
            **({} if is_verbose() else {"extra_arguments": ["--IPKernelApp.log_level=50"]}),
        )
    except papermill.PapermillExecutionError as error:
        message = f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"
        raise Failed(f"{message}\nThe traceback is in {target}") from error
    except DeadKernelError as error:
        raise Failed(
            f"the kernel that executed {path.name} was killed, most often because the memory ran out: close other "
            "programs, or give a smaller batch_size, height and width\n"
            "Repeat the command: a training goes on from its last complete epoch"
        ) from error


class Printed:
    """What a notebook prints; in a terminal, lines on epochs replace each other."""

    def __init__(self, stream):
        self.stream, self.replaces, self.on_epoch = stream, stream.isatty(), False

    def write(self, text):
        for line in printable(text).splitlines(keepends=True):
            is_epoch = self.replaces and line.startswith("epoch ")
            start = "\r\x1b[K" if is_epoch else "\n" if self.on_epoch else ""
            self.stream.write(start + (line.rstrip("\n") if is_epoch else line))
            self.on_epoch = is_epoch
        return len(text)

    def flush(self):
        self.stream.flush()


def printable(text):
    """Text without what a terminal would obey: names of files may hold anything."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in str(text))


def _papermill():
    """The module papermill, in a third of the time.

    jsonschema builds a grammar of web addresses when it is imported, which takes a second and which no notebook needs;
    without that package it leaves the grammar out.
    """
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill

    return papermill


def write_page(notebook, target, title):
    """Write an executed notebook as one HTML file without its code, to be read without a network.

    Args:
        notebook: path of the executed notebook.
        target: path of the file.
        title: of the page, as the browser shows it.
    """
    import nbformat
    from nbconvert import HTMLExporter

    book = nbformat.read(notebook, as_version=4)
    book.metadata["title"] = title
    exporter = HTMLExporter(
        exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True, embed_images=True
    )
    exporter.raw_template = PAGE
    body, _ = exporter.from_notebook_node(book)
    target.write_text(body, encoding="utf-8")


PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
main { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
.jp-OutputArea-output { overflow-x: auto; }
.jp-OutputArea-output pre, .jp-RenderedHTMLCommon pre { white-space: pre-wrap; word-break: normal; }
.jp-RenderedImage img { max-width: 100%; height: auto; }
table.dataframe td, table.dataframe th { text-align: left; white-space: normal; }
</style>
{%- endblock -%}
"""
"""nbconvert's page without what it would load from the web: nothing on our pages is a formula or a diagram."""
