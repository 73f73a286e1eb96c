"""What TensorFlow, the kernel and papermill print of themselves stays away from users; ``GAAP_VERBOSE=1`` shows it.

TensorFlow's native part greets on file descriptor 2 while it is imported, before any setting is read. So that import
alone has the descriptor put aside. If it fails, everything it wrote is shown.
"""

import importlib.abc
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager


def is_verbose():
    """Whether ``GAAP_VERBOSE`` asks for all messages."""
    return os.environ.get("GAAP_VERBOSE", "0") not in ("", "0")


@contextmanager
def standard_error_aside():
    """Keep what is written to file descriptor 2, by native code too, and show it only if the block fails."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            if failed:
                aside.seek(0)
                with open(2, "wb", closefd=False) as screen:
                    shutil.copyfileobj(aside, screen)


def silence_tensorflow():
    """From now on TensorFlow logs errors only, and its import is silent."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _SilentImport())


class _SilentImport(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as usual, once, and has it imported with standard error put aside."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_silently(module):
                with standard_error_aside():
                    execute(module)
                # It sets a level of its own.
                logging.getLogger("tensorflow").setLevel(logging.ERROR)

            spec.loader.exec_module = execute_silently
        return spec
