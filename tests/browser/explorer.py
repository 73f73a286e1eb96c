"""Keys and clicks on ipywidgets, and what the pictures on the page answer."""

import json
from contextlib import contextmanager

ANSWER_SECONDS = 30

# As ipywidgets 8 draws them, by the names that the explorer gives to its parts.
CELLS = ".jp-OutputArea .gaap-positions button"
# The pixels themselves: an image of the same content under another address is the same.
PIXELS = """() => [...document.querySelectorAll(".jp-OutputArea .gaap-sheet")].map(picture => {
    const copy = document.createElement("canvas");
    copy.width = picture.naturalWidth;
    copy.height = picture.naturalHeight;
    copy.getContext("2d").drawImage(picture, 0, 0);
    return copy.toDataURL();
})"""


@contextmanager
def answered(page):
    """What is done inside changes the sheet, the last thing to change, within ``ANSWER_SECONDS``."""
    before = json.dumps(page.evaluate(PIXELS))
    yield
    changed = f"before => JSON.stringify(({PIXELS})()) !== JSON.stringify(JSON.parse(before))"
    page.wait_for_function(changed, arg=before, polling=200, timeout=1000 * ANSWER_SECONDS)


def dropdown(page, name):
    """The list of this description."""
    return (
        page.locator(".jp-OutputArea .widget-dropdown").filter(has=page.get_by_text(name, exact=True)).locator("select")
    )


def choose_another(dropdown):
    """With the keyboard alone: the next choice, or the one before where there is no next.

    Space opens the list first: on a closed one an arrow key moves the notebook's selected cell.
    """
    chosen, choices = dropdown.evaluate("select => [select.selectedIndex, select.options.length]")
    dropdown.focus()
    dropdown.press("Space")
    dropdown.and_(dropdown.page.locator("select:open")).wait_for()
    dropdown.press("ArrowDown" if chosen + 1 < choices else "ArrowUp")
    dropdown.press("Enter")


def press(cell):
    """With the keyboard alone: press a button that has the focus."""
    cell.focus()
    cell.press("Space")
