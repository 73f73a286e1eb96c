"""nbval compares what notebooks show, not standard error: TensorFlow and progress bars go there."""

# Several runs in demo, small ones in smoke; what they show of them is not compared.
IN_SMOKE = ("06_attention_maps.ipynb", "11_explorer.ipynb")


def pytest_collection_modifyitems(items):
    notebook_items = [item for item in items if hasattr(item.parent, "skip_compare")]
    for notebook in {item.parent for item in notebook_items}:
        notebook.skip_compare += ("stderr",)
    for item in notebook_items:
        if item.path.name in IN_SMOKE:
            demo, smoke = (f'profile: str = "{name}"' for name in ("demo", "smoke"))
            item.cell.source = item.cell.source.replace(demo, smoke)
