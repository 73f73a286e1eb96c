"""nbval compares what notebooks show, not standard error: TensorFlow and progress bars go there."""


def pytest_collection_modifyitems(items):
    for notebook in {item.parent for item in items if hasattr(item.parent, "skip_compare")}:
        notebook.skip_compare += ("stderr",)
