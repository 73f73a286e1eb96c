"""What stands in a figure, and what every figure function is checked for."""


def words(figure):
    """All text of a figure."""
    figure.canvas.draw()
    texts = [text for axis in figure.axes for text in [*axis.texts, axis.title, axis.yaxis.label]]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    return " ".join([figure.get_suptitle(), figure.get_supxlabel(), *(text.get_text() for text in texts)])


def check_note_and_file(make, target):
    """Check that a figure says "synthetic" when it is and only then, and that it can be saved.

    Args:
        make: function of the keyword ``synthetic`` that returns the figure.
        target: path of the file.
    """
    assert "synthetic" in words(make(synthetic=True))
    figure = make(synthetic=False)
    assert "synthetic" not in words(figure)
    figure.savefig(target)
    assert target.stat().st_size > 1000
