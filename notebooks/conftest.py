"""Settings for nbval: standard error is not compared, and some notebooks run in the profile smoke."""

# These train several runs in the profile demo; smoke is fast enough for a test. Cells whose output
# depends on these runs are not compared.
IN_SMOKE = (
    "06_attention_maps.ipynb",
    "11_explorer.ipynb",
    "12_embeddings.ipynb",
    "13_comparison.ipynb",
    "14_your_method.ipynb",
)


def pytest_collection_modifyitems(items):
    notebook_items = [item for item in items if hasattr(item.parent, "skip_compare")]
    for notebook in {item.parent for item in notebook_items}:
        # TensorFlow's log and the progress bars are on standard error.
        notebook.skip_compare += ("stderr",)
    for item in notebook_items:
        if item.path.name in IN_SMOKE:
            demo, smoke = (f'profile: str = "{name}"' for name in ("demo", "smoke"))
            item.cell.source = item.cell.source.replace(demo, smoke)
