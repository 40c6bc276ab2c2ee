"""
What we do about the log: answer, send, tick.

`handlers.app` (the consumer groups) and `handlers.clock` are FastStream applications, built from the environment when they are
first asked for; importing this package does nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faststream import FastStream

    app: FastStream
    clock: FastStream


def __getattr__(name: str) -> object:
    if name not in ("app", "clock"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from handlers import processes

    built = processes.app_from_environment() if name == "app" else processes.clock_from_environment()
    globals()[name] = built
    return built
