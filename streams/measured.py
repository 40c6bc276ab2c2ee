"""What an engine measures of itself."""

from collections.abc import Awaitable, Callable
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar, cast

import metrics
from streams.events import Event
from streams.log import Appended

_Append = TypeVar("_Append", bound=Callable[[Any, Event], Awaitable[Appended]])


def measured(append: _Append) -> _Append:
    """Decorate an engine's `append`: whoever appends in this process is measured here."""

    @wraps(append)
    async def measuring(log: Any, event: Event) -> Appended:
        began, result = perf_counter(), "failed"
        try:
            appended = await append(log, event)
            result = "durable"
        finally:
            metrics.APPEND_SECONDS.of(event.source.removeprefix("prosa/"), result).observe(perf_counter() - began)
        metrics.EVENTS_APPENDED.of(event.data.name).inc()
        return appended

    return cast("_Append", measuring)
