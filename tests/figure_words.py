"""What stands in a figure."""


def words(figure):
    """All text of a figure."""
    figure.canvas.draw()
    texts = [text for axis in figure.axes for text in [*axis.texts, axis.title, axis.yaxis.label]]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    return " ".join([figure.get_suptitle(), figure.get_supxlabel(), *(text.get_text() for text in texts)])
