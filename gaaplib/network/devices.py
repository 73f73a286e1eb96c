"""The devices that a run uses: how they share its batches, and the precision that suits them.

Keras' own :mod:`keras.distribution` does the work. It is for JAX, which computes a shared batch as the one batch that
it is: Eq. 4's partners, the images of an identity and the statistics of batch normalisation come from all of it.
"""

import math
import subprocess
import warnings
from pathlib import Path

import keras

# On processors that compute in bfloat16; the others have float32.
CPU_PRECISION = "float32"


def available():
    """Names of the devices of the fastest kind that is there, such as ``["gpu:0", "gpu:1"]`` or ``["cpu:0"]``."""
    if keras.backend.backend() == "torch":
        # Keras lists none for torch, but a tensor tells where it puts them.
        return [str(keras.ops.zeros(()).device)]
    return keras.distribution.list_devices()


class DataParallel(keras.distribution.DataParallel):
    """Keras' data parallelism, for batches of every size.

    Each device has all weights and an equal part of each batch. A batch without equal parts, such as the last one of
    a validation, goes to every device as a whole; Keras alone would refuse it.
    """

    def get_data_layout(self, data_shape):
        if data_shape[0] % self.device_mesh.devices.size == 0:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def use_all(batch_size=None, images_per_identity=1):
    """Let all devices share each batch from now on, where there are several and the backend can.

    ``CUDA_VISIBLE_DEVICES`` says which there are. On the processor JAX has one, unless it is told to have more.

    Args:
        batch_size: images a batch of training, those on all devices together; None: nothing is trained.
        images_per_identity: what it has to be a multiple of, besides.

    Raises:
        ValueError: the batch has no equal parts; it says which would have.
    """
    names = available()
    if len(names) > 1 and keras.backend.backend() != "jax":
        warnings.warn(f"{names[0]} alone is used of {', '.join(names)}: KERAS_BACKEND=jax uses them all", stacklevel=2)
    if len(names) == 1 or keras.backend.backend() != "jax":
        keras.distribution.set_distribution(None)
        return
    if batch_size is not None and batch_size % len(names):
        step = math.lcm(len(names), images_per_identity)
        fitting = math.ceil(batch_size / step) * step
        raise ValueError(
            f"batch_size={batch_size} has no equal parts for {len(names)} devices ({', '.join(names)}): give a "
            f"multiple of {step}, such as {fitting}, or fewer devices in CUDA_VISIBLE_DEVICES"
        )
    keras.distribution.set_distribution(DataParallel(devices=names))


def in_use():
    """How many devices share each batch."""
    current = keras.distribution.distribution()
    return 1 if current is None else current.device_mesh.devices.size


def shared(batch):
    """An array (batch, ...) laid out over the devices that share it, for calls that do not do so themselves."""
    current = keras.distribution.distribution()
    if current is None:
        return batch
    return keras.distribution.distribute_tensor(batch, current.get_data_layout(batch.shape))


def batch_size_for(count, batch_size):
    """The largest batch size, at most ``batch_size``, with which ``count`` images can be evaluated.

    Keras lays out all batches of an evaluation as the first one, so that either all have equal parts, the last one
    included, or none may have.
    """
    parts = in_use()
    odd = count % parts > 0 and batch_size % parts == 0
    return batch_size - 1 if odd else batch_size


def precision():
    """The precision that suits the devices: ``"mixed_bfloat16"`` or ``"float32"``, as ``RunConfig`` names them.

    bfloat16 on a TPU and on a GPU that computes in it; on a processor that does, ``CPU_PRECISION``.
    """
    kind = available()[0].split(":")[0]
    if kind == "cpu":
        return CPU_PRECISION if _processor_has_bfloat16() else "float32"
    return "mixed_bfloat16" if kind == "tpu" or _gpus_have_bfloat16() else "float32"


def _processor_has_bfloat16():
    """Whether Linux names AVX-512's or AMX's products in bfloat16 among the processor's abilities."""
    described = Path("/proc/cpuinfo")
    flags = described.read_text().split() if described.exists() else []
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def _gpus_have_bfloat16():
    """Whether NVIDIA's driver gives all its GPUs compute capability 8.0 (Ampere) or above."""
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return all(float(capability) >= 8.0 for capability in answer.split())
