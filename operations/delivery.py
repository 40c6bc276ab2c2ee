"""How far a person's reply came, for whoever waits for it."""

import asyncio
from dataclasses import dataclass

from operations.connection import Connection
from operations.conversations import Said, messages_of
from operations.errors import ActLapsed
from projections.changes import SENDER
from projections.message_status import FAILURES
from projections.state import Reply, ReplyStatus
from streams.events import Rejection

LOOK_SECONDS = 0.2
CONVERSATION_MESSAGES = 50

MEANINGS = {
    Rejection.WINDOW_CLOSED: "the contact wrote more than 24 hours ago, and WhatsApp delivers only templates then",
    Rejection.UNREACHABLE: "the contact's address cannot be reached by WhatsApp",
    Rejection.OPTED_OUT: "the contact does not want messages from us",
    Rejection.LIMIT: "a limit of the WhatsApp account is reached",
    Rejection.CONFIGURATION: "Twilio's account or our sender is not set up for it",
    Rejection.THROTTLED: "too much was sent at once, and trying again did not help",
    Rejection.SUPERSEDED: "a newer reply went out before it",
    Rejection.UNKNOWN: "Twilio refused it",
}
"""Twilio's page on a code: https://www.twilio.com/docs/api/errors/CODE"""

_HAS_ARRIVED = frozenset({"delivered", "read"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """A reply, the messages that it became, and why the sender gave it up, where it did."""

    reply: Reply
    messages: tuple[Said, ...]
    rejection: Rejection | None = None
    code: int | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to be expected: all of it arrived, or it was given up."""
        if self.reply.status in (ReplyStatus.ACCEPTED, ReplyStatus.SENT):
            return len(self.messages) == len(self.reply.parts) and all(each.status in _HAS_ARRIVED for each in self.messages)
        return True

    @property
    def has_failed(self) -> bool:
        return self.reply.status is ReplyStatus.FAILED or any(each.status in FAILURES for each in self.messages)


async def delivery_of(connection: Connection, thread: str, reply_id: str, *, within_seconds: float) -> Delivery:
    """The delivery once it is settled, or as it stands after so long. Raises `ReadModelUnavailable`."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_seconds
    while True:
        found = await _look(connection, thread, reply_id)
        if found.is_settled or clock() >= deadline:
            return found
        await asyncio.sleep(min(LOOK_SECONDS, max(0.0, deadline - clock())))


async def _look(connection: Connection, thread: str, reply_id: str) -> Delivery:
    state = (await connection.look(thread)).state
    reply = state.reply(reply_id) if state else None
    if state is None or reply is None:
        raise ActLapsed(f"reply {reply_id} is not known any more")
    said = await messages_of(connection, reply.conversation_id, limit=CONVERSATION_MESSAGES)
    messages = tuple(sorted((each for each in said if each.reply == reply_id), key=lambda each: each.part or 0))
    letter = next((each for each in state.dead_letters if (each.event, each.group) == (reply.event, SENDER)), None)
    return Delivery(reply, messages, *_rejection(letter.error if letter else ""))


def _rejection(error: str) -> tuple[Rejection | None, int | None]:
    """What the fold made of `send.rejected`: its reason and Twilio's code."""
    name, _, rest = error.partition(" ")
    if name != "send.rejected":
        return None, None
    reason, _, code = rest.partition(" ")
    return Rejection(reason), int(code) if code else None
