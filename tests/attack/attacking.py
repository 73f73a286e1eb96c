"""Runs an attack: many damaged inputs, each of which must be read rightly or refused in words."""

import csv
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
import traceback
import warnings

from gaaplib.project import outputs_folder

TRIES = int(os.environ.get("GAAP_ATTACK") or 0)
RESULTS = outputs_folder() / "attack"
COLUMNS = ("attack", "tries", "refused", "read", "failures", "seconds")
REFUSALS = (ValueError, FileNotFoundError, PermissionError, OSError)
SECONDS, MEGABYTES = 20, 1500
"""What one try may take; the memory includes Keras, where a try imports it."""
SHOWN = 10


class Hang(BaseException):
    """Not an Exception, so that no reader takes it for damage."""


def attack(name, tries, damage, read, target):
    """Damage and read again and again, in another process, because it may die; returns the failures, a line each.

    Args:
        name: of the attack, for the table.
        tries: how many damaged inputs.
        damage: function of a ``random.Random`` that writes the damaged target.
        read: function without arguments that reads the target and asserts that the result is right.
        target: the file or folder that is damaged; its name must be in each refusal. It is kept after a failure, with
            the traceback, in ``RESULTS``.
    """
    start, count, failures = time.perf_counter(), {"refused": 0, "read": 0}, []
    for kept in _kept(name):
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    while (done := sum(count.values()) + len(failures)) < tries:
        for number, outcome in _outcomes(name, range(done, tries), damage, read, target):
            if outcome in count:
                count[outcome] += 1
            else:
                failures.append(f"{name} {number}: {outcome.strip().splitlines()[-1][:200]}")
    record({"attack": name, "tries": tries, **count, "failures": len(failures)}, time.perf_counter() - start)
    print(*failures[:SHOWN], sep="\n", end="\n" * bool(failures), flush=True)
    return failures


def _outcomes(name, numbers, damage, read, target):
    """(number, outcome) of each try, until the process dies or hangs, which is then the last outcome."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, name, numbers, damage, read, target))
    process.start()
    sender.close()
    for number in numbers:
        try:
            outcome = receiver.recv() if receiver.poll(2 * SECONDS) else None
        except EOFError:
            process.join()
            if process.exitcode:
                _keep(name, number, target, "the process dies")
                yield number, f"the process dies, exit code {process.exitcode}"
            return
        if outcome is None:
            process.kill()
            _keep(name, number, target, "the process hangs")
            yield number, "the process hangs"
            return
        yield number, outcome
    process.join()


def _work(sender, name, numbers, damage, read, target):
    signal.signal(signal.SIGALRM, _hang)
    warnings.simplefilter("ignore")
    before = _megabytes()
    for number in numbers:
        damage(random.Random(f"{name} {number}"))
        outcome, taken = _outcome(read, target), _megabytes() - before
        if taken > MEGABYTES:
            outcome = f"{outcome}\ntakes {taken:.0f} MB"
        if outcome not in ("refused", "read"):
            _keep(name, number, target, outcome)
        sender.send(outcome)
        if taken > MEGABYTES:
            return  # Memory is measured by its peak, so another process has to go on.


def _outcome(read, target):
    """ "read", "refused", or what is wrong."""
    signal.alarm(SECONDS)
    try:
        read()
        return "read"
    except Hang:
        return "hangs"
    except REFUSALS as error:
        if type(error) in REFUSALS and target.name in str(error):
            return "refused"
        return "".join(traceback.format_exception(error))
    except Exception as error:
        return "".join(traceback.format_exception(error))
    finally:
        signal.alarm(0)


def _hang(*_):
    raise Hang


def _megabytes():
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def _kept(name):
    return list(RESULTS.glob(f"{name.replace(' ', '-')}--*"))


def _keep(name, number, target, outcome):
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = RESULTS / f"{name.replace(' ', '-')}--{number}-{target.name}"
    if len(_kept(name)) >= 2 * SHOWN:
        return
    if target.is_dir():
        shutil.copytree(target, kept, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copyfile(target, kept)
    kept.with_name(f"{kept.name}.txt").write_text(outcome, errors="backslashreplace")


def record(row, seconds):
    """Print the row, and put it into the table in place of an older one."""
    row |= {"seconds": round(seconds)}
    print("  ".join(f"{title} {value}" for title, value in row.items()), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    table, rows = RESULTS / "attacks.csv", []
    if table.exists():
        with table.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if old["attack"] != row["attack"]]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
