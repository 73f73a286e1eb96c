"""Decisions that depend on the available devices, tested with simulated devices."""

import platform
import subprocess
import sys
import types
import warnings

import keras
import numpy as np
import pytest

from gaaplib.network import devices

GPUS = ["gpu:0", "gpu:1", "gpu:2"]


@pytest.fixture
def machine(monkeypatch):
    """Simulates a backend, its devices, and the number of devices that share a batch."""

    def believe(names, backend="jax", in_use=1):
        monkeypatch.setattr(devices, "available", lambda: names)
        monkeypatch.setattr(devices, "in_use", lambda: in_use)
        monkeypatch.setattr(devices.keras.backend, "backend", lambda: backend)

    return believe


def test_this_machine_has_devices_of_one_kind():
    names = devices.available()
    assert names
    assert len({name.split(":")[0] for name in names}) == 1


def test_one_device_shares_nothing():
    devices.use_all(32)
    assert devices.in_use() == 1
    batch = np.zeros((3, 2))
    assert devices.shared(batch) is batch


@pytest.mark.parametrize(
    ("batch_size", "images_per_identity", "message"),
    [
        (32, 1, r"batch_size=32 cannot be divided equally over 3 devices \(gpu:0, gpu:1, gpu:2\).* of 3, such as 33, "),
        (32, 4, "multiple of 12, such as 36, or fewer devices in CUDA_VISIBLE_DEVICES"),
        (2, 1, "such as 3,"),
    ],
)
def test_a_batch_without_equal_parts_is_refused(machine, batch_size, images_per_identity, message):
    machine(GPUS)
    with pytest.raises(ValueError, match=message):
        devices.use_all(batch_size, images_per_identity)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_where_one_of_several_is_used_a_sentence_says_so(machine, backend):
    machine(GPUS, backend)
    with pytest.warns(UserWarning, match="only gpu:0 of gpu:0, gpu:1, gpu:2 is used: KERAS_BACKEND=jax"):
        devices.use_all(32)
    machine(GPUS[:1], backend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        devices.use_all(32)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 5, 6, 17, 24, 36])
def test_an_evaluations_batches_have_equal_parts_all_or_none(machine, parts, count):
    machine(GPUS, in_use=parts)
    size = devices.batch_size_for(count, 6)
    assert size in (5, 6)
    sizes = [min(size, count - start) for start in range(0, count, size)]
    assert sum(sizes) == count
    # Keras distributes all batches like the first: if that is divided equally, all must be.
    assert sizes[0] % parts or not any(each % parts for each in sizes)


@pytest.mark.parametrize(
    ("name", "flags", "capabilities", "expected"),
    [
        ("cpu:0", "fpu avx512f", None, "float32"),
        ("cpu:0", "fpu avx512_bf16", None, "as measured"),
        ("cpu:0", "amx_bf16 amx_tile", None, "as measured"),
        ("tpu:0", "", None, "mixed_bfloat16"),
        ("gpu:0", "", "9.0\n", "mixed_bfloat16"),
        ("cuda:0", "", "8.0\n8.6\n", "mixed_bfloat16"),
        ("gpu:0", "amx_bf16", "8.6\n7.5\n", "float32"),
        ("gpu:0", "amx_bf16", None, "float32"),
    ],
)
def test_precision_follows_the_device(machine, monkeypatch, tmp_path, name, flags, capabilities, expected):
    def answer(command, **options):
        if capabilities is None:
            raise FileNotFoundError(command[0])
        return types.SimpleNamespace(stdout=capabilities)

    machine([name])
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(devices, "Path", lambda path: tmp_path / "cpuinfo")
    monkeypatch.setattr(devices, "CPU_PRECISION", "as measured")
    monkeypatch.setattr(subprocess, "run", answer)
    assert devices.precision() == expected


def test_precision_is_one_that_keras_knows():
    assert keras.DTypePolicy(devices.precision()).compute_dtype in ("float32", "bfloat16")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_freed_memory_is_kept_for_the_next_arrays():
    program = """if True:
        import resource
        from gaaplib.network import devices

        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(10):
                b"x" * 40_000_000
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        print(faults())
        devices.keep_memory()
        print(faults())
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 5, (before, after)
