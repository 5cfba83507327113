"""One runner at a time in a run's folder, and which process it is."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.base.errors import RunError
from runner.system import files, machine

NAME, HOLDER = ".lock", ".holder.json"
# A look at the lock, as status takes, holds it for a moment.
PATIENCE = 0.5


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder. Raises RunError with the holder's name where another runner has it."""
    holder = folder / HOLDER
    handle = _acquire(folder)
    try:
        holder_facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": machine.now()}
        with suppress(OSError):  # only for the message; the lock is held
            files.write(holder, json.dumps(holder_facts) + "\n")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        os.close(handle)


def _acquire(folder: Path) -> int:
    """Return the open file that holds the lock; the system frees it when this process is gone."""
    try:
        handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        why = f"cannot write in {folder}: {error.strerror}"
        raise RunError(why, "choose another --runs") from error
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                os.close(handle)
                who = _holder(files.read_json(folder / HOLDER) or {})
                raise RunError(f"{folder} is in use by {who}", "wait for it, or stop it") from error
            time.sleep(0.02)
        except OSError:  # a file system without locks: better without than not at all
            return handle
        else:
            return handle


def is_held(folder: Path) -> bool:
    """Return whether a runner holds a run's folder; what a dead one left does not count."""
    try:
        handle = os.open(folder / NAME, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


def _holder(facts: dict[str, object]) -> str:
    where = facts.get("host")
    there = f" on {where}" if where not in {None, socket.gethostname()} else ""
    return f"process {facts.get('pid', '?')}{there} since {facts.get('since', '?')}"
