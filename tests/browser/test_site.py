"""Each page of the report fits a wide and a narrow window, and tells the console nothing; the table of runs answers."""

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "workflow" / "report"))

WIDTHS = (1400, 480)
# What does not fit scrolls within the page; only the page itself must not.
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CLIPPED = """() => [...document.querySelectorAll("main table")].filter(table => {
    for (let box = table; box !== document.body; box = box.parentElement) {
        if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false;
        if (box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "hidden") return true;
    }
    return table.getBoundingClientRect().right > innerWidth;
}).map(table => table.innerText.slice(0, 60))"""
ROWS = """() => [...document.querySelector("table.runs").tBodies[0].rows].filter(row => !row.hidden)
    .map(row => [...row.cells].map(cell => cell.textContent))"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The report of the committed runs."""
    import build

    return build.build(PROJECT, tmp_path_factory.mktemp("site") / "outputs", strict=True).parent


def heard(page):
    """What the page says to the console from now on, as a list that grows."""
    found = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if _is_a_fault(message) else None)
    return found


def _is_a_fault(message):
    # MathJax looks for fonts that the reader may have installed, which a browser forbids for local files.
    return message.type in ("error", "warning") and "about:blank" not in f"{message.text} {message.location}"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_is_quiet(site, page, pictures, width):
    page.set_viewport_size({"width": width, "height": 1000})
    messages, faults = heard(page), {}
    for path in sorted(site.rglob("*.html")):
        if "_static" in path.parts:
            continue
        page.goto(path.as_uri())
        name = str(path.relative_to(site))
        found = [f"{page.evaluate(BEYOND)} pixels beyond the window"] if page.evaluate(BEYOND) > 1 else []
        found += [f"a table is cut: {words}" for words in page.evaluate(CLIPPED)]
        found += [f"console: {message}" for message in messages]
        if found:
            faults[name] = found
        messages.clear()
        if name in ("index.html", "runs.html", "claims.html", "guides/start.html", "reference/gaaplib.html"):
            page.screenshot(
                path=pictures / f"site-{width}-{name.replace('/', '-')}.png", full_page=name != "reference/gaaplib.html"
            )
    assert faults == {}, "\n".join(f"{name}: {found}" for name, found in faults.items())


def test_the_table_of_runs_sorts_and_filters(site, page):
    page.goto((site / "runs.html").as_uri())
    every = page.evaluate(ROWS)
    column = page.locator("table.runs").first.locator("th").all_text_contents().index("retrieval mAP")
    button = page.locator("table.runs").first.locator("th button", has_text="retrieval mAP")
    for falls in (True, False):
        button.click()
        shown = page.evaluate(ROWS)
        assert sorted(shown) == sorted(every)
        values = [float(row[column].split("\u00a0")[0].split()[0]) for row in shown if row[column][0].isdigit()]
        assert values == sorted(values, reverse=falls) and len(values) > 5
    page.get_by_role("searchbox").first.fill("CUHK03 none")
    few = page.evaluate(ROWS)
    assert 0 < len(few) < len(every)
    assert all("cuhk03" in row[1] and "none" in row for row in few)
    page.get_by_role("searchbox").first.fill("")
    assert len(page.evaluate(ROWS)) == len(every)
