"""What the webhook tells of itself in traces."""

from contextlib import AbstractContextManager
from urllib.parse import parse_qs

import tracing
from streams.events import MessageReceived, MessageStatusChanged
from telemetry import thread_hash


def received(
    path: str, thread: str, data: MessageReceived | MessageStatusChanged, query: bytes
) -> AbstractContextManager[tracing.Span]:
    """
    A signed webhook, as the root of a trace: a traceparent that the request brings is a stranger's word, and not looked at.

    A status callback is linked to the call that its address was given with: that part is ours, and signed. It is no part of
    the same trace, since it may come hours later.
    """
    name = f"POST {path}"
    if not tracing.is_on():
        return tracing.span(name)
    about = {
        "http.request.method": "POST",
        "http.route": path,
        "messaging.message.id": data.sid,
        "prosa.thread_hash": thread_hash(thread),
        "prosa.event_type": f"prosa.{data.name}.v{data.version}",
        "prosa.attempt": data.attempt if isinstance(data, MessageStatusChanged) else None,
        "prosa.message_status": data.status if isinstance(data, MessageStatusChanged) else None,
    }
    return tracing.span(name, "server", about, parent="", link=_call_of(query))


def _call_of(query: bytes) -> str | None:
    given = parse_qs(query.decode("latin-1")).get(tracing.IN_ADDRESS, [])
    return given[0] if len(given) == 1 else None
