"""How long the explorer takes to answer in a browser: from the click, or the chosen query, to the sheet on the screen.

    make .venv/.browser && python benchmarks/explorer.py --browser /usr/bin/chromium

It opens the explorer's notebook in JupyterLab in a headless Chromium, makes the profile's run if outputs/ has none,
asks in turn for another query and for another position, and prints the seconds of each: median, least and most. The
browser, the server and the kernel share the cores.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import click
import pandas as pd

from gaaplib.config import PROFILES
from gaaplib.project import outputs_folder, project_folder

sys.path.insert(0, str(project_folder() / "tests"))
from browser.conftest import FLAGS  # noqa: E402
from browser.explorer import CELLS, dropdown  # noqa: E402
from browser.lab import Lab  # noqa: E402
from browser.window import run_all  # noqa: E402

NOTEBOOK = "11_explorer"
# The time of the last question, and that of the first picture after it, which is drawn in the frame after its loading.
WATCH = """() => {
    const ask = () => { window.asked = performance.now(); window.answer = null; };
    for (const kind of ["click", "change"]) document.addEventListener(kind, ask, true);
    document.querySelector(".jp-OutputArea .gaap-sheet").addEventListener("load", () => requestAnimationFrame(() => {
        window.answer = window.answer ?? performance.now() - window.asked;
    }));
}"""


@click.command()
@click.option("--browser", type=click.Path(exists=True), required=True, help="Chromium's program.")
@click.option("--profile", type=click.Choice(list(PROFILES)), default="demo", show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=10, show_default=True)
def main(browser, profile, rounds):
    """Print the seconds, and write them to outputs/benchmarks/explorer.csv."""
    from playwright.sync_api import sync_playwright

    outputs = outputs_folder()
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder), outputs, profile) as lab, sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        page.set_default_timeout(60_000)
        run_all(page, lab.address(NOTEBOOK))
        page.evaluate(WATCH)
        rows = [row for number in range(rounds) for row in asked(page, number)]
        chromium.close()
    # The first round compiles.
    table = pd.DataFrame(rows)[2:]
    for name, seconds in table.groupby("asked for").seconds:
        print(f"{name}: {statistics.median(seconds):.2f} s [{seconds.min():.2f}, {seconds.max():.2f}]")
    target = outputs / "benchmarks" / "explorer.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False)
    print(target)


def asked(page, number):
    """Ask for another query and then for another position; return a row with the seconds of each."""
    queries, cells = dropdown(page, "query"), page.locator(CELLS)
    count = queries.evaluate("select => select.options.length")
    queries.select_option(index=number % count)
    rows = [{"asked for": "a query", "seconds": answer(page)}]
    cells.nth(7 * number % cells.count()).click()
    return [*rows, {"asked for": "a position", "seconds": answer(page)}]


def answer(page):
    """Return the seconds until the sheet was there."""
    return page.wait_for_function("() => window.answer", timeout=60_000).json_value() / 1000


if __name__ == "__main__":
    main()
