"""The devices of a run: distributes batches over them, chooses a precision that suits them, and keeps their memory.

Batches are distributed by :mod:`keras.distribution`, on JAX only. JAX computes a distributed batch as a single batch:
the partners of Eq. 4, the images of an identity and the statistics of batch normalisation come from the whole batch.
"""

import ctypes
import math
import subprocess
import sys
import warnings
from pathlib import Path

import keras

# The precision on processors that compute in bfloat16; the others use float32.
CPU_PRECISION = "float32"

# Of the GNU C library's `mallopt`.
M_TRIM_THRESHOLD, M_MMAP_MAX, LARGEST = -1, -4, 2**31 - 1


def available():
    """Names of the available devices of the fastest kind, such as ``["gpu:0", "gpu:1"]`` or ``["cpu:0"]``."""
    if keras.backend.backend() == "torch":
        # Keras lists no devices for torch, but a tensor shows which one it uses.
        return [str(keras.ops.zeros(()).device)]
    return keras.distribution.list_devices()


class DataParallel(keras.distribution.DataParallel):
    """Keras' data parallelism, for batches of any size.

    Each device has all weights and an equal part of each batch. If a batch cannot be divided equally, such as the last
    one in validation, every device gets the whole batch; Keras itself would raise an error.
    """

    def get_data_layout(self, data_shape):
        if data_shape[0] % self.device_mesh.devices.size == 0:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def use_all(batch_size=None, images_per_identity=1):
    """Distribute each batch over all devices from now on, if there are several and the backend is JAX.

    ``CUDA_VISIBLE_DEVICES`` limits the GPUs that are used. Without a GPU, JAX has one device unless it is set to more.

    Args:
        batch_size: images per training batch, over all devices; None if nothing is trained.
        images_per_identity: the batch size that the error suggests is a multiple of this number, too.

    Raises:
        ValueError: the batch cannot be divided equally; the message has a batch size that can.
    """
    names = available()
    if len(names) > 1 and keras.backend.backend() != "jax":
        warnings.warn(
            f"only {names[0]} of {', '.join(names)} is used: KERAS_BACKEND=jax uses all of them", stacklevel=2
        )
    if len(names) == 1 or keras.backend.backend() != "jax":
        keras.distribution.set_distribution(None)
        return
    if batch_size is not None and batch_size % len(names):
        step = math.lcm(len(names), images_per_identity)
        fitting = math.ceil(batch_size / step) * step
        raise ValueError(
            f"batch_size={batch_size} cannot be divided equally over {len(names)} devices ({', '.join(names)}): give "
            f"a multiple of {step}, such as {fitting}, or fewer devices in CUDA_VISIBLE_DEVICES"
        )
    keras.distribution.set_distribution(DataParallel(devices=names))


def in_use():
    """The number of devices over which each batch is distributed."""
    current = keras.distribution.distribution()
    return 1 if current is None else current.device_mesh.devices.size


def shared(batch):
    """The array (batch, ...) distributed over the devices in use, for Keras calls that do not do this themselves."""
    current = keras.distribution.distribution()
    if current is None:
        return batch
    return keras.distribution.distribute_tensor(batch, current.get_data_layout(batch.shape))


def batch_size_for(count, batch_size):
    """The largest batch size, at most ``batch_size``, with which ``count`` images can be evaluated.

    Keras distributes all batches of an evaluation like the first one. So either all of them can be divided equally,
    including the last one, or none may be divided.
    """
    parts = in_use()
    odd = count % parts > 0 and batch_size % parts == 0
    return batch_size - 1 if odd else batch_size


def precision():
    """The precision that suits the devices, ``"mixed_bfloat16"`` or ``"float32"``, as in ``RunConfig``.

    It is bfloat16 on a TPU and on a GPU that supports it. On a processor that supports it, it is ``CPU_PRECISION``.
    """
    kind = available()[0].split(":")[0]
    if kind == "cpu":
        return CPU_PRECISION if _processor_has_bfloat16() else "float32"
    return "mixed_bfloat16" if kind == "tpu" or _gpus_have_bfloat16() else "float32"


def _processor_has_bfloat16():
    """Whether Linux lists bfloat16 products of AVX-512 or AMX among the processor's flags."""
    described = Path("/proc/cpuinfo")
    flags = described.read_text().split() if described.exists() else []
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def _gpus_have_bfloat16():
    """Whether NVIDIA's driver reports compute capability 8.0 (Ampere) or above for all GPUs."""
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return all(float(capability) >= 8.0 for capability in answer.split())


def keep_memory():
    """Have the C library keep the memory that this process frees, for its next arrays.

    By default it returns large arrays to the kernel, which then fills the pages of the next ones with zeros. This can
    take a tenth of a training step on a processor. Results do not change. Without the GNU C library nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, LARGEST)
