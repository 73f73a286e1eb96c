"""Processes that are killed, that run out of disk, and that do the same at the same time: the results stay the same.

Not part of `make test`: `make attack` runs it.
"""

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from attack.attacking import TRIES, record

from gaaplib import runs
from gaaplib.project import project_folder

pytestmark = pytest.mark.skipif(not TRIES, reason="takes minutes; make attack runs it")

KILLS, SIZES, PAIRS = max(3, TRIES // 50), max(6, TRIES // 50), max(1, TRIES // 300)
REPRODUCE = ("workflow/graph.py", "reproduce", "profile=smoke", "dataset=market1501", "data=synthetic")
RUN = "from gaaplib import experiment; from gaaplib.config import RunConfig; experiment.run(RunConfig('smoke', {}))"
# In a namespace of its own, which may mount: disks on which a run fails; then there is room, and it ends.
FULL = """
import subprocess, sys, warnings
from pathlib import Path
from gaaplib import experiment
from gaaplib.config import RunConfig

warnings.simplefilter("ignore")
disk, sizes = Path(sys.argv[1]), list(map(int, sys.argv[2:]))
config = RunConfig("smoke")
for number, size in enumerate(sizes):
    outputs = disk / str(number)
    outputs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", outputs], check=True)
    try:
        experiment.run(config, outputs=outputs)
        print(size, "done", flush=True)
    except OSError as error:
        print(size, "refused", str(error).replace("\\n", " ")[-150:], flush=True)
        assert not (outputs / "runs" / config.run_id / "metrics.json").exists()
        subprocess.run(["mount", "-o", "remount,size=1g", outputs], check=True)
        experiment.run(config, outputs=outputs)
    print("mAP", experiment.run(config, outputs=outputs).metrics["retrieval"]["mAP"], flush=True)
    subprocess.run(["umount", "-l", outputs], check=True)
"""


def start(arguments, outputs):
    environment = {**os.environ, "GAAP_OUTPUTS": str(outputs)}
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = [sys.executable, *map(str, arguments)]
    # A session of its own, so that the whole group can be killed.
    return subprocess.Popen(command, cwd=project_folder(), env=environment, start_new_session=True, **quiet)


def end(process):
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def results(outputs):
    """What has to be the same, bit for bit: scores, weights and arrays of each run."""
    found = {}
    for run in runs.finished(outputs):
        scores = {name: run.metrics[name] for name in ("closed", "retrieval", "data", "partnered_share")}
        arrays = [*run.per_query.values(), *weights(run)]
        found[run.folder.name] = (scores, b"".join(np.asarray(array).tobytes() for array in arrays))
    return found


def weights(run):
    """The arrays in a model's file, read without Keras: once it is imported, a fork of this process would hang."""
    arrays = {}
    with zipfile.ZipFile(run.model_file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return [arrays[name] for name in sorted(arrays)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The results of `make reproduce` without an interruption, and its seconds."""
    outputs, begin = tmp_path_factory.mktemp("reference"), time.perf_counter()
    end(start(REPRODUCE, outputs))
    return results(outputs), time.perf_counter() - begin


def test_reproduce_killed_at_any_time_ends_the_same(reference, tmp_path):
    expected, seconds = reference
    draw, left, begin, wrong = random.Random(KILLS), KILLS, time.perf_counter(), 0
    while left:
        outputs = tmp_path / str(left)
        while left:
            process = start(REPRODUCE, outputs)
            try:
                process.wait(draw.uniform(0, seconds))
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                left -= 1
        # Kernels are sessions of their own, which end by themselves once their client is gone.
        end(start(REPRODUCE, outputs))
        wrong += results(outputs) != expected
        shutil.rmtree(outputs)
    record(
        {"attack": "kills of reproduce", "tries": KILLS, "refused": 0, "read": KILLS, "failures": wrong},
        time.perf_counter() - begin,
    )
    assert not wrong


def test_a_full_disk_is_said_and_then_the_run_ends_the_same(reference, tmp_path):
    expected, begin = reference[0], time.perf_counter()
    needed = 300_000
    sizes = [round(8 * (needed / 8) ** (step / (SIZES - 1))) for step in range(SIZES)]
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", FULL, str(tmp_path), *map(str, sizes)], capture_output=True, text=True
    )
    if "unshare" in done.stderr:
        pytest.skip("this system permits no mounts of one's own")
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    (mAP,) = {line for line in done.stdout.splitlines() if line.startswith("mAP")}
    assert float(mAP.split()[1]) in [scores["retrieval"]["mAP"] for scores, _ in expected.values()]
    refused = done.stdout.count("refused")
    record(
        {"attack": "full disk", "tries": SIZES, "refused": refused, "read": SIZES - refused, "failures": 0},
        time.perf_counter() - begin,
    )


@pytest.mark.parametrize(
    "pair",
    [(REPRODUCE, REPRODUCE), (("-c", RUN.format("")),) * 2, *[[("-c", RUN.format(f"seed={n}")) for n in (0, 1)]]],
    ids=["reproduce twice", "one run twice", "two runs on the same images"],
)
def test_two_processes_at_once_end_the_same(reference, tmp_path, pair, request):
    begin, wrong = time.perf_counter(), 0
    for number in range(PAIRS):
        outputs = tmp_path / str(number)
        both = [start(arguments, outputs) for arguments in pair]
        for process in both:
            end(process)
        found = results(outputs)
        wrong += any(found[name] != result for name, result in reference[0].items() if name in found)
        assert found.keys() & reference[0].keys()
    name = f"two processes: {request.node.callspec.id}"
    record(
        {"attack": name, "tries": PAIRS, "refused": 0, "read": PAIRS, "failures": wrong}, time.perf_counter() - begin
    )
    assert not wrong


def test_an_executed_notebook_on_a_full_disk_is_said_in_a_sentence(tmp_path):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    gaap = Path(sys.executable).with_name("gaap")
    command = (
        f"mount -t tmpfs -o size=40k tmpfs {outputs} && GAAP_OUTPUTS={outputs} {gaap} run 02_train -p profile smoke"
    )
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command], capture_output=True, text=True, cwd=project_folder())
    if "unshare" in done.stderr:
        pytest.skip("this system permits no mounts of one's own")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "space" in done.stderr or "disk has" in done.stderr, done.stderr
