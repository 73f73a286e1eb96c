"""In the place of `gaap run`, in a blink: the graph's tests are about the graph. It keeps a list of what it was asked.

Environment: STAND_IN_FAILS, STAND_IN_KILLED and STAND_IN_WAITS are parts of the output's path; at such a path it fails
as a notebook does, is killed, or waits until there is a file `go` in the outputs.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from gaaplib.runs.provenance import RESULTS


def main():
    """Write the notebook, and the run that it would have made."""
    output = Path(sys.argv[sys.argv.index("--output") + 1])
    outputs = Path(os.environ["GAAP_OUTPUTS"])
    with open(outputs / "asked", "a") as asked:
        asked.write(f"{output.relative_to(outputs)}\n")

    def happens(what):
        return os.environ.get(f"STAND_IN_{what}", "nothing") in str(output)

    if happens("KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    end = time.monotonic() + 120
    while happens("WAITS") and not (outputs / "go").exists() and time.monotonic() < end:
        time.sleep(0.05)
    error = {"output_type": "error", "ename": "ValueError", "evalue": "as asked", "traceback": []}
    cells = [{"cell_type": "code", "outputs": [error] if happens("FAILS") else []}]
    output.write_text(json.dumps({"cells": cells, "metadata": {}}))
    if happens("FAILS"):
        sys.exit(1)
    if output.stem == "notebook":
        provenance = {"results": RESULTS, "seconds": {"training": 1.0}}
        metrics = output.with_name("metrics.json")
        metrics.with_suffix(".part").write_text(json.dumps({"status": "done", "provenance": provenance}))
        os.replace(metrics.with_suffix(".part"), metrics)


if __name__ == "__main__":
    main()
