"""Log lines: readable in development, JSON in production; never message text, addresses of contacts, or secrets."""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from settings import Environment, Settings

log = structlog.get_logger("prosa")

CHATTY = ("faststream", "uvicorn", "uvicorn.error")
"""What these tell below WARNING is of use to whoever looks for a fault: it comes with LOG_LEVEL=DEBUG."""
NEVER_CHATTY = ("uvicorn.access", "httpx2", "httpcore2", "openai", "aiohttp.access")
"""What these tell below WARNING holds addresses of contacts, or each request once more."""

COLOURS = {"webhook": 33, "handlers": 35, "clock": 32, "simulator": 36}
"""Of the processes on a terminal, as ANSI's numbers."""
LEVEL_COLOURS = {"debug": 2, "warning": 33, "error": 31, "critical": 31}
DIM = 2
PROCESS_WIDTH = 10
EVENT_WIDTH = 24
SHORT_THREAD = 6

_OF_ALL = frozenset({"owner"})
_OF_A_THREAD = _OF_ALL | {"type", "group", "partition", "position"}
"""What a line carries for whoever searches many of them."""
_NAME = re.compile(r"[a-z_.]+")
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")

_log_key = b""
"""Keys `thread_hash`: there are few enough phone numbers to try them all against a plain hash."""
_process = ""


def thread_hash(thread: str) -> str:
    """A short name for a thread that is safe to log: always the same under one SECRET_KEY, and nothing to guess it by without."""
    return hashlib.blake2b(thread.encode(), digest_size=6, key=_log_key).hexdigest()


def configure_logging(settings: Settings, *, process: str) -> None:
    """Send all log lines of this process, our own and the libraries', to standard error in one form."""
    global _log_key, _process
    _process = process
    _log_key = hashlib.blake2b(settings.secret_key.get_secret_value().encode(), person=b"prosa log").digest()
    level = logging.getLevelNamesMapping()[settings.log_level]
    is_production = settings.environment is Environment.PRODUCTION
    rendering = _as_json() if is_production else _as_text(is_verbose=level <= logging.DEBUG)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if is_production else "%H:%M:%S", utc=is_production),
        _finish,
    ]
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering]
    )
    _take_over_from_libraries(formatter, level)


def log_to_standard_error() -> None:
    """For a command, whose standard output is what a script reads: warnings and worse, as text."""
    global _process
    _process = "prosa"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            _finish,
            *_as_text(is_verbose=False),
        ],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )


def ranges(numbers: Iterable[int]) -> str:
    """Many numbers in one value of a line: `0-3,7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def name_worker(number: int | None) -> None:
    """Mark every line of this process, one of several that a supervisor numbers from 0, with its number from 1 on."""
    global _process
    if number is not None:
        _process = f"{_process} {number + 1}"


class _Lines(structlog.WriteLogger):
    """Standard error. A line that cannot be written, since nobody reads there any more, must break no work."""

    def __init__(self, *_: object) -> None:
        super().__init__(sys.stderr)

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = error = critical = exception = msg


def _take_over_from_libraries(formatter: logging.Formatter, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    quiet = logging.NOTSET if level <= logging.DEBUG else logging.WARNING
    for names, least in ((CHATTY, quiet), (NEVER_CHATTY, logging.WARNING)):
        for name in names:
            library = logging.getLogger(name)
            library.handlers.clear()
            library.propagate = True
            library.setLevel(least)


def _finish(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {"process": _process, **{name: value for name, value in event.items() if value is not None}}


def _as_json() -> list[Processor]:
    told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # local variables hold message text
    return [structlog.processors.ExceptionRenderer(told), structlog.processors.JSONRenderer()]


def _as_text(*, is_verbose: bool) -> list[Processor]:
    return [structlog.processors.format_exc_info, TextLine(has_colours=wants_colours(), is_verbose=is_verbose)]


def wants_colours() -> bool:
    """Whether standard error is a terminal, or stands for one: https://no-color.org, https://force-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


class TextLine:
    """
    A line for people: time, process, what happened, and the values that matter.

    Ids are for whoever follows one event through all lines, and come with LOG_LEVEL=DEBUG only.
    """

    def __init__(self, *, has_colours: bool, is_verbose: bool) -> None:
        self._has_colours = has_colours
        self._is_verbose = is_verbose

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> str:
        level = event.pop("level", level)
        start = line_start(event.pop("timestamp"), event.pop("process"), has_colours=self._has_colours)
        traceback = event.pop("exception", None)
        values = " ".join(f"{name}={_quoted(value)}" for name, value in self._values(event).items())
        return start + self._told(level, str(event["event"]), values) + (f"\n{traceback}" if traceback else "")

    def _told(self, level: str, what: str, values: str) -> str:
        what = what.replace(".", " ").replace("_", " ") if _NAME.fullmatch(what) else _on_one_line(what)
        if level not in {"info", "debug"}:
            what = f"{level.upper()}: {what}"
        padded = f"{what:<{EVENT_WIDTH}}" if values else what
        coloured = _coloured(padded, LEVEL_COLOURS.get(level, 0)) if self._has_colours else padded
        return f"{coloured}  {_coloured(values, DIM) if self._has_colours else values}" if values else coloured

    def _values(self, event: EventDict) -> dict[str, Any]:
        values = {name: value for name, value in event.items() if name != "event" and not name.startswith("_")}
        if self._is_verbose:
            return values
        thread = values.pop("thread_hash", None)
        hidden = _OF_A_THREAD if thread else _OF_ALL
        shown = {name: value for name, value in values.items() if name not in hidden and not _is_id(value)}
        return {"thread": thread[:SHORT_THREAD], **shown} if thread else shown


def line_start(time: str, process: str, *, has_colours: bool) -> str:
    """What every line for people begins with."""
    name = f"{process:<{PROCESS_WIDTH}}"
    if not has_colours:
        return f"{time} {name} "
    return f"{_coloured(time, DIM)} {_coloured(name, COLOURS.get(process.partition(' ')[0], 0))} "


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ULID.fullmatch(value) is not None


def _quoted(value: object) -> str:
    text = _on_one_line(f"{value:g}" if isinstance(value, float) else str(value))
    return f'"{text}"' if " " in text else text


def _on_one_line(text: str) -> str:
    """Nobody writes a second line, or to the terminal, by what they send us."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _coloured(text: str, number: int) -> str:
    return f"\x1b[{number}m{text}\x1b[0m" if number else text
