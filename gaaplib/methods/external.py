"""A model from elsewhere as a method: nothing is trained, and its embeddings are scored like any other's."""

from gaaplib.methods.method import Method
from gaaplib.network import external


class External(Method):
    """The model in the file ``weights``, an ONNX file or an ``.xml`` of OpenVINO. It is scored on retrieval only.

    It has no heat maps: they need the layers of a network of this package.
    """

    learns = False
    has_maps = False
    losses = {}

    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        given = {"colour": config.input_colour, "mean": config.input_mean, "std": config.input_std}
        self.model = external.load(config.weights, height=config.height, width=config.width, **given)

    def class_scores(self, outputs):
        """None, because the classes of the model are not those of the data set."""
        return None

    def save(self, folder):
        self.model.save(folder)
