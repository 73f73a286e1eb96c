"""What a person does in JupyterLab's window, and sees there."""

from contextlib import contextmanager

RUN_SECONDS = 600

# Every cell that ran has its number and none waits; after an error those behind it never run.
FINISHED = """() => {
    const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map(prompt => prompt.textContent);
    return prompts.some(prompt => /\\d/.test(prompt)) && !prompts.some(prompt => prompt.includes("*"));
}"""
CLIPPED = """() => {
    const right = box => box.getBoundingClientRect().right;
    return [...document.querySelectorAll(".jp-OutputArea-output table")]
        .filter(table => right(table) > right(table.closest(".jp-OutputArea-output")) + 1)
        .map(table => table.innerText.slice(0, 80));
}"""
BROKEN_IMAGES = """() => [...document.querySelectorAll(".jp-Notebook img")]
    .filter(image => image.complete && !image.naturalWidth).map(image => image.src.slice(0, 80))"""


def run_all(page, address):
    """Open a notebook, choose "Run All Cells" from the menu, wait until all have run, and save."""
    page.goto(address)
    _wait_for_the_kernel(page)
    page.get_by_role("menubar").get_by_text("Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(FINISHED, timeout=1000 * RUN_SECONDS)
    _wait_for_the_kernel(page)
    save(page)


def _wait_for_the_kernel(page):
    """The status bar says so; the notebook's own indicator is idle before there is a kernel as well."""
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()


def save(page):
    """Ctrl+S, and wait until the tab has lost its mark of unsaved changes."""
    page.keyboard.press("Control+s")
    page.locator(".lm-TabBar-tab.jp-mod-dirty").wait_for(state="detached")


def complaints(page):
    """What a person would see at a glance that something is wrong with: a list of sentences, empty if all is well."""
    tracebacks = page.locator(".jp-OutputArea-output").filter(has_text="Traceback (most recent call last)")
    errors = [f"an error: {text[-500:]}" for text in tracebacks.all_text_contents()]
    images = [f"an image that does not show: {source}" for source in page.evaluate(BROKEN_IMAGES)]
    formulas = [f"a formula that is not one: {text}" for text in page.locator("mjx-merror").all_text_contents()]
    dialogs = [f"an open dialog: {text}" for text in page.locator(".jp-Dialog").all_text_contents()]
    tables = [f"a table that is cut at the right: {words}" for words in page.evaluate(CLIPPED)]
    return errors + images + formulas + dialogs + tables


def photograph(page, target):
    """The whole notebook from top to bottom, in a window that is as high as it is."""
    notebook = page.locator(".jp-Notebook .jp-WindowedPanel-outer")
    size = page.viewport_size
    # Heights of what was never in sight are guesses: the second look is right.
    for _ in range(2):
        missing = notebook.evaluate("panel => panel.scrollHeight - panel.clientHeight")
        page.set_viewport_size({"width": size["width"], "height": page.viewport_size["height"] + missing})
        page.wait_for_timeout(500)
    notebook.evaluate("panel => panel.scrollTo(0, 0)")
    notebook.screenshot(path=target)
    page.set_viewport_size(size)


@contextmanager
def photographed(page, folder, name):
    """A picture of what was done inside: NAME.png, or NAME-failed.png of the window as it stood."""
    target, failed = folder / f"{name}.png", folder / f"{name}-failed.png"
    failed.unlink(missing_ok=True)
    try:
        yield
        photograph(page, target)
    except BaseException:
        page.screenshot(path=failed)
        raise
