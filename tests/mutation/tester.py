"""Runs the tests of one mutant in a fork of a process that has already imported everything but the library.

``tester.py serve ADDRESS TEST_FILE`` waits at a socket; ``tester.py ask ADDRESS`` is the test command of Cosmic Ray.
Without this, each mutant would spend seconds on the imports of Keras.
"""

import json
import os
import select
import signal
import socket
import sys
from pathlib import Path


def ask(address):
    """The exit status of the tests."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        return connection.recv(1)[0]


def serve(address, test_file):
    import_all_but_the_library(test_file)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                answer(connection, test_file, Path(f"{address}.json"))


def answer(connection, test_file, durations):
    child = os.fork()
    if child == 0:
        run(test_file, durations)
    ended = os.pidfd_open(child)
    # When its time is up, Cosmic Ray ends the process that asked, which closes the connection.
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != -signal.SIGKILL:
        connection.send(bytes([code if code >= 0 else 100]))


def import_all_but_the_library(test_file):
    import hypothesis

    names = ["matplotlib.pyplot", "pandas", "pytest", "scipy.stats", "tqdm"]
    names += ["keras"] if "import keras" in Path(test_file).read_text() else []
    for name in names:
        __import__(name)
    # The same examples for each mutant, however slow the machine; the smallest that fails is not looked for.
    hypothesis.settings.register_profile(
        "mutants",
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        derandomize=True,
        database=None,
    )
    hypothesis.settings.load_profile("mutants")
    assert "gaaplib" not in sys.modules


def run(test_file, durations):
    import pytest

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", test_file], plugins=[FastestFirst(durations)]))


class FastestFirst:
    """A pytest plugin: after a first run, which must pass, the tests that took least time come first."""

    def __init__(self, file):
        self.file = file
        self.seconds = {}

    def pytest_collection_modifyitems(self, items):
        if self.file.exists():
            seconds = json.loads(self.file.read_text())
            items.sort(key=lambda item: seconds[item.nodeid])

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0 and not self.file.exists():
            self.file.write_text(json.dumps(self.seconds))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    sys.exit({"serve": serve, "ask": ask}[what](*arguments))
