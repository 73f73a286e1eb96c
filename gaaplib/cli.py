"""The console command ``gaap``: run a notebook with checked parameters, and list what the runs gave."""

import dataclasses
import sys
from pathlib import Path

import click

TYPES = {"str": str, "int": int, "float": float, "bool": bool}
WORDS = {"true": True, "false": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """GAAP person re-identification: notebooks in batch, and their results."""


@main.command()
@click.argument("notebook")
@click.option("-p", "--parameter", "given", nargs=2, multiple=True, metavar="NAME VALUE")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The executed notebook.")
def run(notebook, given, output):
    """Execute NOTEBOOK (a path, or a name such as 02_train) with papermill.

    Names and types of the parameters are checked against the notebook before a kernel starts.
    """
    import papermill

    path = _find_notebook(notebook)
    try:
        values = _with_whole_paths(parse_parameters(given, papermill.inspect_notebook(str(path)), path.name))
        target = Path(output) if output else _default_output(path, values)
    except (TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"{path.name} -> {target}")
    try:
        papermill.execute_notebook(
            str(path),
            str(target),
            parameters=values,
            cwd=str(path.parent),
            progress_bar=False,
            # What the notebook prints, as it prints it: the epochs and the sentences.
            stdout_file=sys.stdout,
        )
    except papermill.PapermillExecutionError as error:
        message = f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"
        raise click.ClickException(f"{message}\nThe traceback is in {target}") from error


@main.command()
@click.option("--csv", is_flag=True, help="Every column, as CSV with full precision.")
def results(csv):
    """Print the table of finished runs."""
    from gaaplib import runs

    table = runs.table()
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
        return
    if table.empty:
        click.echo(f"No finished runs under {runs.outputs_folder() / 'runs'}")
        return
    shown = table.drop(columns=["run_id", "synthetic"])
    click.echo(shown.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    click.echo("Fractions. closed: softmax over trained identities; retrieval: unseen identities.")
    if table.synthetic.any():
        click.echo("Rows whose data begins with synthetic- are measured on drawn images.")


def parse_parameters(given, known, notebook):
    """Values of the right type from pairs of strings.

    Args:
        given: pairs (name, text) from the command line.
        known: what ``papermill.inspect_notebook`` says of the notebook.
        notebook: its name, for messages.

    Raises:
        ValueError: an unknown or repeated name, naming the known ones, or a text that is not of the type.
    """
    values = {}
    for name, text in given:
        if name not in known:
            raise ValueError(f"{notebook} has no parameter {name!r}; known: {', '.join(known)}")
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
    wanted = TYPES[kind.removeprefix("Optional[").removesuffix("]")]
    try:
        return WORDS[text.lower()] if wanted is bool else wanted(text)
    except (KeyError, ValueError):
        choice = " or None" if optional else ""
        expected = "true or false" if wanted is bool else wanted.__name__
        raise ValueError(f"{name}={text!r}: expected {expected}{choice}") from None


def _with_whole_paths(values):
    """Paths as they are from here: the notebook runs in a folder of its own."""
    words = {"data": "synthetic", "weights": "imagenet"}
    return {
        name: str(Path(value).expanduser().resolve()) if value and value != words.get(name, value) else value
        for name, value in values.items()
    }


def _find_notebook(notebook):
    """The file itself, or the notebook of that name in the project's ``notebooks/``."""
    from gaaplib.runs import project_folder

    places = [Path(notebook), project_folder() / "notebooks" / f"{notebook}.ipynb"]
    for place in places:
        if place.is_file():
            return place.resolve()
    known = sorted(path.stem for path in places[1].parent.glob("*.ipynb"))
    raise click.ClickException(f"no notebook {notebook!r}; known: {', '.join(known) or 'none'}")


def _default_output(path, values):
    """A training notebook is kept with its run, another under ``outputs/notebooks``, by data."""
    from gaaplib.config import RunConfig
    from gaaplib.runs import outputs_folder

    fields = {field.name for field in dataclasses.fields(RunConfig)}
    config = RunConfig(**{k: v for k, v in values.items() if k in fields})
    if path.stem == "02_train":
        return outputs_folder() / "runs" / config.run_id / "notebook.ipynb"
    return outputs_folder() / "notebooks" / config.data_name / path.name
