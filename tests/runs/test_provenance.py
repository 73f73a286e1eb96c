"""Where a result came from, and whether it is out of date."""

import os

from made_runs import write_run

from gaaplib.runs import provenance


def test_the_origin_names_code_versions_machine_and_time():
    origin = provenance.origin()
    assert origin["results"] == provenance.RESULTS
    assert {"commit", "dirty", "backend", "versions", "processor", "cores", "devices", "finished"} <= set(origin)
    assert {"python", "keras", "numpy"} <= set(origin["versions"])
    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert origin["cores"] == visible


def test_a_run_of_another_number_or_of_none_is_out_of_date(tmp_path):
    metrics = write_run(tmp_path, [0.5, 0.5]).metrics
    assert provenance.is_current(metrics)
    metrics["provenance"]["results"] += 1
    assert not provenance.is_current(metrics)
    del metrics["provenance"]["results"]
    assert not provenance.is_current(metrics)


def test_older_runs_had_a_thread_for_each_core():
    assert provenance.threads_of({"provenance": {"threads": 3}}) == 3
    assert provenance.threads_of({"provenance": {"cores": 2}}) == 2
