"""Roofline of a training step: the time its products and its memory traffic take at this machine's peak rates.

`python benchmarks/roof.py --backbone resnet50` counts the operations and bytes of one step of the profile `standard`,
with the block and in bfloat16, from the layers' shapes, measures the machine's rate of each, and times a real step.
Bytes are what the layers' kernels read and write if nothing stays in a cache, so caches can beat the memory bound; the
bound of the products is hard.
"""

import time

import click
import keras
import numpy as np

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.network import layers
from gaaplib.paper import costs
from gaaplib.training import fit

CLASSES = 751
# How often a map of the size of the layer's output is read or written in a step: forward, then backward.
PASSES = {
    "Conv2D": 2 + 5,  # in, out; the input's gradient from the output's, the kernel's from both
    "BatchNormalization": 3 + 5,  # in twice, out; in and gradient twice, gradient out
    "Activation": 0 + 3,  # forward it is fused with the layer before
    "Add": 3 + 1,
    "MaxPooling2D": 2 + 3,
    "ZeroPadding2D": 2 + 2,
}
# Bytes per weight: cast to bfloat16, read by two products, gradient written and cast to float32, Adam's four arrays.
WEIGHT_BYTES = 6 + 4 + 2 + 6 + 28


@click.command()
@click.option("--backbone", default="resnet50", show_default=True)
def main(backbone):
    """Print operations, bytes, the machine's rates, both bounds and a measured step."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    layers.make_deterministic()
    method = METHODS["gaap"](RunConfig("standard", backbone=backbone, precision="mixed_bfloat16"), CLASSES)
    batch = method.config.batch_size
    operations, size = count(method)
    products, memory, step = rate_of_products(), rate_of_memory(), seconds_of_step(method)
    print(f"{backbone}: {operations / 1e9:.0f} GFLOP and {size / 1e9:.2f} GB per step of {batch} images")
    print(f"this machine: {products / 1e9:.0f} GFLOP/s in bfloat16, {memory / 1e9:.1f} GB/s")
    for name, seconds in (("products", operations / products), ("memory", size / memory)):
        print(f"bound of the {name}: {1e3 * seconds:.0f} ms, {batch / seconds:.0f} images/s")
    print(f"measured: {1e3 * step:.0f} ms, {batch / step:.0f} images/s")


def count(method):
    """Return the operations (a product and a sum count as two) and bytes of a step."""
    batch = method.config.batch_size
    # Three products each: forward, and backward to the inputs and to the kernels.
    operations, size = 2 * 3 * batch * costs.multiply_adds(method.model), 0
    for layer in method.training_model._flatten_layers():
        if isinstance(layer, keras.Model) or not hasattr(layer, "_inbound_nodes") or not layer._inbound_nodes:
            continue
        node = layer._inbound_nodes[0]
        outputs = node.outputs[0].shape
        values = batch * int(np.prod([side for side in outputs[1:] if side]))
        size += 2 * PASSES.get(type(layer).__name__, 0) * values
    return operations, size + WEIGHT_BYTES * method.training_model.count_params()


def fastest(work, times=7):
    """Return the seconds of the fastest of some repetitions."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def rate_of_products(side=2048):
    """Return the operations per second of a large matrix product in bfloat16."""
    matrix = keras.ops.cast(keras.random.normal((side, side)), "bfloat16")
    return 2 * side**3 / fastest(lambda: float(keras.ops.matmul(matrix, matrix)[0, 0]))


def rate_of_memory(values=2**26):
    """Return the bytes per second of the sum of two long arrays, each three times as large as the caches."""
    one, two = keras.ops.ones(values), keras.ops.ones(values)
    return 3 * 4 * values / fastest(lambda: float(keras.ops.add(one, two)[0]))


def seconds_of_step(method):
    """Return the seconds of one training step on a batch in memory."""
    rng = np.random.default_rng(0)
    fit._compile(method, 100)
    config = method.config
    labels = np.arange(config.batch_size, dtype="int32") // 4
    images = rng.integers(0, 256, (config.batch_size, config.height, config.width, 3), dtype=np.uint8)
    inputs = {"images": images, **method.batch_inputs(labels, rng)}
    return fastest(lambda: method.training_model.train_on_batch(inputs, {"logits": labels}))


if __name__ == "__main__":
    main()
