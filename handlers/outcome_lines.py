"""The story of a conversation in log lines: one for each outcome that a handler records."""

from streams.events import Event, MessageSent, ReplyGenerated, SendRejected, SendUnconfirmed
from streams.log import Appended
from telemetry import log


def tell(event: Event, appended: Appended) -> None:
    """What a reader of the log wants to know at INFO; whatever is a step in between, or is told where it is decided, at DEBUG."""
    ids = {"type": event.type, "id": event.id, "position": appended.position}
    match event.data:
        case ReplyGenerated() as reply:
            tokens = reply.input_tokens + reply.output_tokens
            log.info(
                "reply.generated",
                **ids,
                model=reply.model or None,
                tokens=tokens or None,
                parts=len(reply.parts) if len(reply.parts) > 1 else None,
                then=_afterwards(reply),
            )
        case MessageSent(part=part):
            log.info("reply.sent", **ids, part=part + 1 if part else None)
        case SendRejected(code=code, reason=reason):
            log.warning("reply.not_sent", **ids, reason=reason.value, code=code)
        case SendUnconfirmed():
            log.warning("reply.unconfirmed", **ids, remedy="a person decides: prosa sends list")
        case _:
            log.debug("event.appended", **ids)


def _afterwards(reply: ReplyGenerated) -> str | None:
    if reply.hands_off:
        return "hands off"
    return "closes" if reply.closes else None
