"""A model from elsewhere, in a file of ONNX or OpenVINO: loaded, described, and fed with images as it expects them.

Install what runs it with ``pip install "gaaplib[onnx]"``, or ``gaaplib[openvino]`` for an ``.xml``. A file is only
computed, never executed: neither format holds Python code.

What a model expects of its input is read from the file, as far as that tells it: height, width, the order of the axes
and the type of the pixels. If pixels are floats, the file does not tell how they are normalised. They are then
normalised by ``mean`` and ``std`` as most re-ID models expect it, with ImageNet's numbers, unless the file's first
operations do so themselves.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of red, green and blue, as shares of 255."""

SUFFIXES = (".onnx", ".xml")
ARITHMETIC = ("Sub", "Add", "Mul", "Div", "Subtract", "Multiply", "Divide")
PASSING = ("Cast", "Convert", "Transpose", "Identity", "Unsqueeze")
PROVIDERS = ["CPUExecutionProvider"]
FILES = ("model.onnx", "model.xml", "model.bin", "input.json")
"""Names of the files in which a run keeps a model from elsewhere."""


@dataclass(frozen=True)
class Input:
    """What a model expects of its images.

    Attributes:
        height, width: in pixels.
        channels_first: whether the axes are (batch, channels, height, width).
        pixels: ``"uint8"``, ``"float16"`` or ``"float32"``.
        colour: ``"rgb"`` or ``"bgr"``.
        mean, std: of the three channels, in the order of ``colour``, as shares of 255; None: the pixels are given as
            they are, or as the file's own normalisation needs them.
        divisor: what whole pixel values are divided by before that: 255 or 1.
        batch: images of each call, if the file fixes it; None: any number.
    """

    height: int
    width: int
    channels_first: bool
    pixels: str
    colour: str = "rgb"
    mean: tuple | None = None
    std: tuple | None = None
    divisor: float = 255.0
    batch: int | None = None

    def prepared(self, images):
        """Images uint8 (batch, height, width, 3), RGB, in the form that the model expects."""
        if self.colour == "bgr":
            images = images[..., ::-1]
        if self.pixels != "uint8":
            images = images.astype("float32") / np.float32(self.divisor)
            if self.mean is not None:
                images = (images - np.array(self.mean, "float32")) / np.array(self.std, "float32")
            images = images.astype(self.pixels)
        if self.channels_first:
            images = images.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images)

    def __str__(self):
        axes = "(batch, 3, height, width)" if self.channels_first else "(batch, height, width, 3)"
        words = f"{self.pixels} {axes}, {self.height} x {self.width}, {self.colour.upper()}"
        if self.pixels == "uint8":
            return f"{words}, 0 to 255"
        if self.mean is None:
            return f"{words}, 0 to {255 / self.divisor:g}, normalised by the file itself"
        return f"{words}, 0 to 1 less {list(self.mean)} over {list(self.std)}"


class External:
    """A model from elsewhere; :func:`gaaplib.training.fit.embed` accepts it instead of a Keras model.

    Attributes:
        path: the file.
        input: its :class:`Input`.
        output: name of the output that has the embeddings.
    """

    def __init__(self, path, described, output, compute):
        self.path = path
        self.input = described
        self.output = output
        self._compute = compute

    def predict_on_batch(self, images):
        """Embeddings of images uint8 (batch, height, width, 3): ``{"embedding": float32 (batch, dim)}``."""
        size = self.input.batch or len(images)
        parts = [self._embedded(images[start : start + size], size) for start in range(0, len(images), size)]
        return {"embedding": np.concatenate(parts)}

    def _embedded(self, images, size):
        # A batch of fixed size is filled up with copies of its last image.
        filled = np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])
        found = np.asarray(self._compute(self.input.prepared(filled), self.output), dtype="float32")
        return found.reshape(len(found), -1)[: len(images)]

    def save(self, folder):
        """Copy the file, and what it expects of its images, into a run's folder."""
        folder = Path(folder)
        shutil.copyfile(self.path, folder / f"model{self.path.suffix}")
        if self.path.suffix == ".xml":
            shutil.copyfile(self.path.with_suffix(".bin"), folder / "model.bin")
        (folder / "input.json").write_text(json.dumps({"output": self.output, **asdict(self.input)}, indent=1) + "\n")


def load(path, *, height=None, width=None, colour="rgb", mean=None, std=None):
    """A model from elsewhere, ready to embed.

    Args:
        path: an ``.onnx`` file, or OpenVINO's ``.xml`` with its ``.bin`` beside it.
        height, width: of the images, if the file leaves them open.
        colour: ``"rgb"`` or ``"bgr"``, the order of the channels that the model was trained with.
        mean, std: three numbers each, as shares of 255, or one for all channels; None: ImageNet's, unless pixels are
            whole numbers or the file normalises them itself.

    Returns:
        An :class:`External`.

    Raises:
        ImportError: what runs such files is not installed.
        FileNotFoundError: no such file.
        ValueError: the file cannot be read, its input is not one batch of images, it has no output (batch, dim), or
            what was given contradicts it.
    """
    path = Path(path)
    opened = _open(path)
    described = _described(path, opened, height, width, colour, _triple("mean", mean), _triple("std", std))
    return External(path, described, _chosen(path, opened.outputs), opened.compute)


def load_saved(folder):
    """The model from elsewhere that a run keeps in its folder.

    Raises:
        ImportError, ValueError: as :func:`load`.
    """
    folder = Path(folder)
    path = next(folder / f"model{suffix}" for suffix in SUFFIXES if (folder / f"model{suffix}").is_file())
    noted = json.loads((folder / "input.json").read_text(encoding="utf-8"))
    opened, output = _open(path), noted.pop("output")
    noted = {name: tuple(value) if isinstance(value, list) else value for name, value in noted.items()}
    return External(path, Input(**noted), output, opened.compute)


def size_of(path):
    """``{"height": ..., "width": ...}`` of the images that a model expects, without what the file leaves open.

    Raises:
        ImportError, FileNotFoundError, ValueError: as :func:`load`.
    """
    path = Path(path)
    axes = _axes(path, _open(path).shape)
    return {name: axes[name] for name in ("height", "width") if axes[name] is not None}


def _described(path, opened, height, width, colour, mean, std):
    if colour not in ("rgb", "bgr"):
        raise ValueError(f"colour={colour!r} is not known; known: rgb, bgr")
    axes = _axes(path, opened.shape)
    given = {"height": height, "width": width}
    for name, value in given.items():
        if axes[name] is None and value is None:
            raise ValueError(f"{path} leaves the {name} of its images open: give {name}")
        if None not in (axes[name], value) and axes[name] != value:
            raise ValueError(f"{path} takes images of {name} {axes[name]}, not {value}")
    sizes = {name: axes[name] or value for name, value in given.items()}
    common = {**sizes, "channels_first": axes["channels_first"], "colour": colour, "batch": axes["batch"]}
    own = opened.first_constant()
    if (mean is not None or std is not None) and (opened.pixels == "uint8" or own is not None):
        why = "takes whole pixel values" if opened.pixels == "uint8" else "normalises its images itself"
        raise ValueError(f"{path} {why}, so mean and std would be applied twice: leave them out")
    if opened.pixels == "uint8":
        return Input(**common, pixels="uint8", divisor=1.0)
    if own is not None:
        # A constant about 255, or one over it, or a mean of pixel values shows that whole values are expected.
        whole = np.abs(own).max() > 1.5 or np.allclose(own, 1 / 255, rtol=0.01)
        return Input(**common, pixels=opened.pixels, divisor=1.0 if whole else 255.0)
    return Input(**common, pixels=opened.pixels, mean=mean or MEAN, std=std or STD)


def _triple(name, values):
    """Three floats from None, a number, a sequence, or text such as "0.5" or "0.485,0.456,0.406"."""
    if values is None:
        return None
    try:
        found = [float(value) for value in (values.split(",") if isinstance(values, str) else np.ravel(values))]
    except ValueError:
        found = []
    found = found * 3 if len(found) == 1 else found
    lowest = 0 if name == "mean" else 1e-6
    if len(found) != 3 or not all(lowest <= value <= 10 for value in found):
        raise ValueError(f"{name}={values!r}: expected three numbers as shares of 255, such as 0.485,0.456,0.406")
    return tuple(found)


def _axes(path, shape):
    """Height, width, batch (None: open) and the order of the axes, from an input's shape."""
    if len(shape) == 4 and 3 in (shape[1], shape[3]):
        first = shape[1] == 3
        height, width = shape[2:] if first else shape[1:3]
        return {"height": height, "width": width, "batch": shape[0], "channels_first": first}
    raise ValueError(
        f"{path} is no model of images: its input has the shape {shape}, but (batch, 3, height, width) or (batch, "
        "height, width, 3) is needed"
    )


def _open(path):
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} is no model from elsewhere: it must be an .onnx file, or an .xml of OpenVINO")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return (_Onnx if path.suffix.lower() == ".onnx" else _OpenVino)(path)


def _one_input(path, inputs):
    if len(inputs) != 1:
        names = ", ".join(inputs) or "none"
        raise ValueError(f"{path} has {len(inputs)} inputs ({names}): a model of single images has one")
    return inputs[0]


def _chosen(path, outputs):
    """The output with the embeddings: the one of that name, else the first that is a vector for each image."""
    vectors = [name for name, shape in outputs.items() if len(shape) == 2 or (len(shape) == 4 and _is_vector(shape))]
    if "embedding" in vectors:
        return "embedding"
    if not vectors:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in outputs.items())
        raise ValueError(f"{path} has no embedding, an output of the shape (batch, dim); it has: {listed}")
    return vectors[0]


def _is_vector(shape):
    return tuple(shape[2:]) == (1, 1)


class Exported:
    """A network of this package that sees more than images, as an ONNX file: it takes a dict of arrays."""

    def __init__(self, path):
        import onnxruntime  # It is there: the file was just written with it.

        self._session = onnxruntime.InferenceSession(str(path), providers=PROVIDERS)

    def predict_on_batch(self, inputs):
        """All outputs of the file: ``{name: array}``."""
        names = [entry.name for entry in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))


class _Onnx:
    """An ONNX file, opened with onnxruntime."""

    TYPES = {"tensor(uint8)": "uint8", "tensor(float16)": "float16", "tensor(float)": "float32"}

    def __init__(self, path):
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise ImportError("ONNX files need onnx and onnxruntime: pip install 'gaaplib[onnx]'") from error
        try:
            self._graph = onnx.load(str(path), load_external_data=False).graph
            apart = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in self._graph.initializer)
            # Not opened otherwise, because a file may name any other as its weights.
            self._session = None if apart else onnxruntime.InferenceSession(str(path), providers=PROVIDERS)
        except Exception as error:  # Both raise errors of many types.
            reason = str(error).split("\n")[0] or type(error).__name__
            raise ValueError(f"{path} cannot be read as an ONNX file ({reason})") from error
        if apart:
            raise ValueError(f"{path} has its weights in other files, which a run would not keep: save it as one file")
        inputs = {entry.name: entry for entry in self._session.get_inputs()}
        self._input = _one_input(path, list(inputs))
        entry = inputs[self._input]
        if entry.type not in self.TYPES:
            raise ValueError(f"{path} takes {entry.type}: images are uint8, float16 or float32")
        self.pixels = self.TYPES[entry.type]
        self.shape = [size if isinstance(size, int) else None for size in entry.shape]
        self.outputs = {entry.name: entry.shape for entry in self._session.get_outputs()}

    def compute(self, images, output):
        return self._session.run([output], {self._input: images})[0]

    def first_constant(self):
        """The constant of the first operation on the input if that is arithmetic; None if it is not."""
        from onnx import numpy_helper

        constants = {tensor.name: tensor for tensor in self._graph.initializer}
        constants |= {node.output[0]: node.attribute[0].t for node in self._graph.node if node.op_type == "Constant"}
        name = self._input
        while True:
            users = [node for node in self._graph.node if name in node.input]
            if len(users) != 1 or users[0].op_type not in (*PASSING, *ARITHMETIC):
                return None
            if users[0].op_type in ARITHMETIC:
                others = [constants[other] for other in users[0].input if other in constants]
                return numpy_helper.to_array(others[0]).astype("float64") if others else None
            name = users[0].output[0]


class _OpenVino:
    """A model of OpenVINO."""

    TYPES = {"u8": "uint8", "f16": "float16", "f32": "float32"}

    def __init__(self, path):
        try:
            import openvino
        except ImportError as error:
            raise ImportError("OpenVINO is not installed: pip install 'gaaplib[openvino]'") from error
        if not path.with_suffix(".bin").is_file():
            raise FileNotFoundError(f"no such file: {path.with_suffix('.bin')}, which has the weights of {path.name}")
        try:
            self._model = openvino.Core().read_model(path)
            settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
            self._compiled = openvino.Core().compile_model(self._model, "CPU", settings)
        except RuntimeError as error:
            raise ValueError(f"{path} cannot be read as a model of OpenVINO ({str(error).splitlines()[0]})") from error
        _one_input(path, [entry.any_name for entry in self._model.inputs])
        self._parameter = self._model.inputs[0]
        kind = self._parameter.element_type.get_type_name()
        if kind not in self.TYPES:
            raise ValueError(f"{path} takes {kind}: images are uint8, float16 or float32")
        self.pixels = self.TYPES[kind]
        self.shape = [axis.get_length() if axis.is_static else None for axis in self._parameter.partial_shape]
        self.outputs = {}
        for number, entry in enumerate(self._model.outputs):
            shape = [axis.get_length() if axis.is_static else None for axis in entry.partial_shape]
            names = entry.get_names() or {str(number)}
            self.outputs["embedding" if "embedding" in names else sorted(names)[0]] = shape

    def compute(self, images, output):
        # Copied, because the next batch overwrites this memory.
        return np.array(self._compiled(images)[list(self.outputs).index(output)])

    def first_constant(self):
        node = self._parameter.get_node()
        while True:
            users = [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]
            if len(users) != 1 or users[0].get_type_name() not in (*PASSING, *ARITHMETIC):
                return None
            node = users[0]
            if node.get_type_name() in ARITHMETIC:
                for entry in node.inputs():
                    source = entry.get_source_output().get_node()
                    if source.get_type_name() == "Constant":
                        return np.asarray(source.get_data(), "float64")
                return None
