"""The guides and the reference of the library, as pages of the report."""

import os
import re

GUIDES = {
    "start": "docs/start.md",
    "photographs": "docs/photographs.md",
    "compare": "docs/compare.md",
    "adding-a-method": "docs/adding-a-method.md",
    "paper": "docs/paper.md",
    "conventions": "docs/conventions.md",
    "methods": "docs/methods.md",
    "data-sets": "docs/data-sets.md",
    "command": "docs/command.md",
    "cluster": "workflow/README.md",
    "speed": "docs/speed.md",
    "recipe": "docs/recipe.md",
    "promises": "docs/promises.md",
    "design": "docs/design.md",
    "contributing": "CONTRIBUTING.md",
}
"""The page of each guide, and the file that it is made from."""

LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s]+)\)")


def write(project, source):
    """Write each guide to ``guides/`` of the source, with links to other pages of the report.

    A link to a file that is no page of the report is left out, and its words stay.
    """
    pages = {(project / path).resolve(): f"guides/{name}" for name, path in GUIDES.items()}
    pages |= {path.resolve(): f"notebooks/{path.stem}" for path in sorted((project / "notebooks").glob("*.ipynb"))}
    (source / "guides").mkdir(parents=True)
    for name, path in GUIDES.items():
        text = LINK.sub(
            lambda link, path=path: _linked(link, (project / path).parent, pages), (project / path).read_text()
        )
        (source / "guides" / f"{name}.md").write_text(text)


def _linked(link, folder, pages):
    words, target = link.groups()
    if target.startswith(("http:", "https:", "#")):
        return link[0]
    path, hash_, anchor = target.partition("#")
    page = pages.get((folder / path).resolve())
    return words if page is None else f"[{words}]({os.path.relpath(page, 'guides')}.{_suffix(page)}{hash_}{anchor})"


def _suffix(page):
    return "ipynb" if page.startswith("notebooks/") else "md"


def write_reference(package, source):
    """Write a page for each wing of the library and one for the modules at its top; Sphinx fills them from docstrings.

    Returns:
        The names of the pages.
    """
    top = [path.stem for path in sorted(package.glob("*.py")) if path.stem != "__init__"]
    wings = {"gaaplib": [f"gaaplib.{name}" for name in top]}
    for folder in sorted(path.parent for path in package.glob("*/__init__.py")):
        modules = [path for path in sorted(folder.rglob("*.py")) if path.stem != "__init__"]
        wings[folder.name] = [
            ".".join((package.name, *path.relative_to(package).with_suffix("").parts)) for path in modules
        ]
    (source / "reference").mkdir(parents=True)
    for wing, modules in wings.items():
        parts = [f"# `{wing if wing == package.name else f'{package.name}.{wing}'}`\n"]
        for module in modules:
            parts.append(f"## `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n")
        (source / "reference" / f"{wing}.md").write_text("\n".join(parts))
    return list(wings)
