"""gaaplib as a contender of `whole_job.py`: trains on CUHK03, scores, and prints the scores as JSON."""

import json
import sys

from gaaplib import experiment
from gaaplib.config import RunConfig


def main(settings):
    """Train and score the profile `standard` with these settings."""
    run = experiment.run(RunConfig("standard", dataset="cuhk03", attention="none", **settings), verbose=2)
    found = run.metrics["retrieval"]
    print(json.dumps({"mAP": found["mAP"], "rank-1": found["cmc1"]}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
