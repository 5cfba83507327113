"""``python -I -S starter.py``: starts commands for the bench, one at a time, and waits for them.

A process of its own because the peak memory of a child begins with that of its parent, and this one
stays as small as Python can be. A line of JSON in is a command, a line out what it cost.
"""

import json
import os
import sys
import time

OUT, ERR = 1, 2


def run(argv, cwd, env, out, err):
    """Run a command; return its exit code, seconds, processor seconds and peak (ru_maxrss)."""
    os.chdir(cwd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, OUT, out, flags, 0o600),
        (os.POSIX_SPAWN_OPEN, ERR, err, flags, 0o600),
    ]
    begun = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begun
    code = os.waitstatus_to_exitcode(status)
    return code, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
