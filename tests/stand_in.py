"""A fast stand-in for `gaap run` in the graph's tests; it records its calls in the file `asked`.

The environment variables STAND_IN_FAILS, STAND_IN_KILLED and STAND_IN_WAITS are parts of an output path: for such a
path it fails as a notebook does, is killed, or waits until the file `go` exists in the outputs.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main():
    """Write the notebook and the run that `gaap run` would have made."""
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
        leave_run(output.parent)


def leave_run(folder):
    """Write the finished run without scores."""
    # Here, as a notebook that reads runs needs none of it, and importing it takes two seconds.
    from gaaplib.config import RunConfig
    from gaaplib.runs import SCHEMA
    from gaaplib.runs.provenance import RESULTS

    provenance = {"results": RESULTS, "seconds": {"training": 1.0}}
    config = RunConfig("smoke").to_dict()
    (folder / "config.json").write_text(json.dumps(config))
    nothing = dict.fromkeys(("reason", "partnered_share", "closed", "retrieval"))
    content = {"schema": SCHEMA, "run_id": folder.name, "status": "done", "counts": {}, **nothing}
    content |= {"data": {"name": "synthetic-market1501", "synthetic": True, "fingerprint": "f"}}
    content |= {"config": config, "provenance": provenance}
    (folder / "metrics.part").write_text(json.dumps(content))
    os.replace(folder / "metrics.part", folder / "metrics.json")


if __name__ == "__main__":
    main()
