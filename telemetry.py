"""Log lines: readable in development, JSON in production; never message text, addresses of contacts, or secrets."""

import hashlib
import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from settings import Environment, Settings

log = structlog.get_logger("prosa")

_log_key = b""
"""Keys `thread_hash`: there are few enough phone numbers to try them all against a plain hash."""


def thread_hash(thread: str) -> str:
    """A short name for a thread that is safe to log: always the same under one SECRET_KEY, and nothing to guess it by without."""
    return hashlib.blake2b(thread.encode(), digest_size=6, key=_log_key).hexdigest()


def configure_logging(settings: Settings, *, process: str) -> None:
    """Send all log lines of this process, our own and the libraries', to standard error in one form."""
    global _log_key
    _log_key = hashlib.blake2b(settings.secret_key.get_secret_value().encode(), person=b"prosa log").digest()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _flatten_extra,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderer(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for libraries_own in ("faststream", "uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(libraries_own).handlers.clear()
        logging.getLogger(libraries_own).propagate = True
    for chatty in ("uvicorn.access", "httpx2", "httpcore2", "openai", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)


def _renderer(settings: Settings) -> list[Processor]:
    if settings.environment is Environment.PRODUCTION:
        told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # local variables hold message text
        return [structlog.processors.ExceptionRenderer(told), structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]


def _flatten_extra(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """FastStream passes its context as one `extra` dictionary."""
    extra: Any = event.pop("extra", None)
    return {**extra, **event} if isinstance(extra, dict) else event
