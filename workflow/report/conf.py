"""Sphinx configuration of the report. `make report` copies it next to the pages and notebooks and builds there."""

import importlib

project = "GAAP, reproduced"
html_title = project
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
nitpicky = True
# A docstring may name only what the reference has; names of other libraries are not looked up.
nitpick_ignore_regex = [("py:.*", r"(?!gaaplib\.).*")]
napoleon_custom_sections = [("Options", "params_style")]
autodoc_default_options = {"no-value": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# Shorter names of types, which a narrow window has room for.
python_use_unqualified_type_names = True
toc_object_entries = False
# Code in a notebook's text may have no lexer that can highlight it.
suppress_warnings = ["misc.highlighting_failure"]

nb_execution_mode = "off"
# TensorFlow prints its greeting there; tracebacks of failed cells are shown anyway.
nb_output_stderr = "remove"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
# Widgets would be loaded from the network.
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

# MathJax 2 from jupyter-server-mathjax; the newer version that Sphinx expects would be loaded from the network.
myst_update_mathjax = False
mathjax_path = "mathjax/MathJax.js"
mathjax2_config = {
    "config": ["TeX-AMS-MML_HTMLorMML-full.js"],
    "messageStyle": "none",
    "showMathMenu": False,
    "menuSettings": {"assistiveMML": False, "collapsible": False, "explorer": False},
    "MMLorHTML": {"prefer": {browser: "HTML" for browser in ("Firefox", "Safari", "Opera", "other")}},
    "HTML-CSS": {"availableFonts": [], "webFont": "STIX-Web", "imageFont": None},
}

# Commands and file names are not Python code.
highlight_language = "text"

html_theme = "sphinx_book_theme"
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "article_footer_items": [],
    "footer_content_items": [],
}
html_static_path = ["_static"]
html_css_files = ["report.css"]
html_js_files = ["report.js"]
html_copy_source = False
html_use_index = False
html_domain_indices = False
# Otherwise the theme complains to the console on the first visit.
html_context = {"default_mode": "light"}
html_show_sourcelink = False
# A result's summary is fetched from its page, which browsers refuse for local files.
html_show_search_summary = False


def setup(app):
    """Look names up that a package takes from one of its modules, such as ``gaaplib.runs.Run``."""
    app.connect("missing-reference", _where_it_is_written)


def _where_it_is_written(app, env, node, words):
    package, dot, rest = node.get("reftarget", "").partition(".runs.")
    name, *attributes = rest.split(".")
    found = getattr(importlib.import_module(f"{package}.runs"), name, None) if package == "gaaplib" and dot else None
    if found is None:
        return None
    target = ".".join((found.__module__, found.__qualname__, *attributes))
    python = env.get_domain("py")
    return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], target, node, words)
