"""Small ONNX files: the mean colour of an image times a fixed matrix, with an input of one's choice."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def write_onnx(path, *, first=True, pixels="float32", own=(), size=(64, 32), batch="batch", output="output", dims=2):
    """Write a file.

    Args:
        first: whether the channels are the first axis.
        own: pairs of an operation and its constant, the file's own normalisation, such as ``("Div", 255.0)``.
        size: height and width; None leaves one open.
        batch: a number fixes it.
        dims: axes of the output; with 1 it is no embedding.
    """
    height, width = (axis or name for axis, name in zip(size, ("height", "width"), strict=True))
    shape = [batch, 3, height, width] if first else [batch, height, width, 3]
    constants, nodes, name = [], [helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT)], "pixels"
    for number, (operation, value) in enumerate(own):
        value = np.asarray(value, "float32")
        value = value.reshape(-1, 1, 1) if first and value.ndim else value
        constants.append(numpy_helper.from_array(value, f"c{number}"))
        nodes.append(helper.make_node(operation, [name, f"c{number}"], [f"n{number}"]))
        name = f"n{number}"
    axes = np.array([2, 3] if first else [1, 2], "int64")
    constants += [numpy_helper.from_array(axes, "axes"), numpy_helper.from_array(WEIGHTS, "weights")]
    nodes += [
        helper.make_node("ReduceMean", [name, "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], [output if dims == 2 else "vectors"]),
    ]
    if dims == 1:
        constants.append(numpy_helper.from_array(np.array([1], "int64"), "last"))
        nodes.append(helper.make_node("ReduceMean", ["vectors", "last"], [output], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TYPES[pixels], shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, 4][:dims])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def embeddings_of(images, divisor=255.0, mean=0.0, std=1.0, channels=(0, 1, 2)):
    """What such a file gives for images uint8 (n, height, width, 3), image by image."""
    return np.stack(
        [((image[..., list(channels)] / divisor - mean) / std).mean(axis=(0, 1)) @ WEIGHTS for image in images]
    )
