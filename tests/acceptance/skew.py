"""A Python whose wall clock is minutes wrong, by another amount in each process, and jumps while the process runs."""

import os
from pathlib import Path

SITECUSTOMIZE = """
import ctypes, datetime, gc, os, sys, time

MINUTES = (10, -10, 3)
SPARED = {spared!r}

real_time, real_time_ns, real_now = time.time, time.time_ns, datetime.datetime.now
born = time.monotonic()


def seconds():
    wrong = 60.0 * MINUTES[os.getpid() % len(MINUTES)]
    return wrong if time.monotonic() - born < {steps_after!r} else -wrong


if not any(SPARED in argument for argument in sys.orig_argv):
    time.time = lambda: real_time() + seconds()
    time.time_ns = lambda: real_time_ns() + int(seconds() * 1e9)
    fields = gc.get_referents(datetime.datetime.__dict__)[0]  # a built-in type takes no attribute in any other way
    fields["now"] = classmethod(lambda cls, tz=None: real_now(tz) + datetime.timedelta(seconds=seconds()))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
"""


def skewed(directory: Path, *, spared: str, steps_after_seconds: float) -> dict[str, str]:
    """The environment of such a Python; the folder is for the file that makes it. Processes of this name have the right time."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE.format(spared=spared, steps_after=steps_after_seconds))
    path = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}
