"""A stage's process before its stage begins: it imports the tool, and waits for the runner.

It imports at low priority, so that the running stage keeps its cores, and evaluates nothing, so
that it uses no GPU memory. Any error here occurs again, and is reported, in the stage.
"""

import importlib
import os
import select
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

NICE = 10
# macOS: setpriority of a whole process, into the background and out of it again (sys/resource.h).
DARWIN_PROCESS, DARWIN_BACKGROUND, DARWIN_USUAL = 4, 0x1000, 0
# What starts threads of its own when it is imported: they keep the priority they are started with.
POOLS = ("numpy",)


def wait(modules: Sequence[str]) -> None:
    """Import `modules` and wait for a word on stdin; without one the process ends here.

    Where the word is there already, nothing is imported here: the stage does so itself.
    """
    if select.select([0], [], [], 0)[0]:
        _await_word()
        return
    darwin = sys.platform == "darwin"
    if darwin:
        with suppress(OSError):
            os.setpriority(DARWIN_PROCESS, 0, DARWIN_BACKGROUND)
    else:
        _import(POOLS)
    importing = threading.Thread(target=_import_slowly, args=(modules,), daemon=True)
    importing.start()
    _await_word()
    if darwin:
        with suppress(OSError):
            os.setpriority(DARWIN_PROCESS, 0, DARWIN_USUAL)
    importing.join()


def _import_slowly(modules: Sequence[str]) -> None:
    """Import at low priority; on Linux that is a thread's own, and cannot be taken back."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    _import(modules)


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        with suppress(Exception, SystemExit):
            importlib.import_module(name)


def _await_word() -> None:
    """Wait for the word, and put the end of input where the pipe was."""
    if not os.read(0, 16):
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
