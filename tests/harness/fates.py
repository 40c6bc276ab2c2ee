"""What became of each message of a contact, as the read model tells it."""

from collections.abc import Collection

from streams.events import SendUnconfirmed
from tests.harness.allowed import Fate
from tests.harness.history import History, Row

NEVER_SENT = frozenset({"superseded", "withdrawn"})


def fates_of(history: History) -> dict[str, list[Fate]]:
    """What the read model says became of each inbound message, by sid: exactly one, if all is well and everything is over."""
    letters = {row["event_id"]: row for row in history.dead_letters}
    conversations = {row["id"]: row for row in history.conversations}
    covering: dict[str, list[Row]] = {}
    doubtful = doubtful_replies(history)
    for reply in history.replies:
        if reply["status"] not in NEVER_SENT:
            for event in reply["answers"]:
                covering.setdefault(event, []).append(reply)
    fates: dict[str, list[Fate]] = {}
    for row in history.messages:
        if row["direction"] == "inbound":
            event = row["event_id"]
            found = [fate for reply in covering.get(event, ()) if (fate := _fate_by(reply, doubtful))]
            if not covering.get(event):
                found = _fates_without_reply(letters.get(event), conversations.get(row["conversation_id"]))
            fates.setdefault(row["sid"], []).extend(found)
    return fates


def doubtful_replies(history: History) -> frozenset[str]:
    """Replies that were left to a person; a paused worker may tell afterwards that it has not called, too late for a resend."""
    return frozenset(each.reply for each in history.attempts.values() if each.outcome == SendUnconfirmed.name)


def _fate_by(reply: Row, doubtful: Collection[str]) -> Fate | None:
    match reply["status"]:
        case "sent" | "cancelled":
            return Fate.ANSWERED
        case "failed":
            return Fate.UNCONFIRMED if reply["id"] in doubtful else Fate.DEAD_LETTERED
        case "unconfirmed":
            return Fate.UNCONFIRMED
        case _:
            return None


def _fates_without_reply(letter: Row | None, conversation: Row | None) -> list[Fate]:
    if letter is not None:
        return [Fate.EXPIRED if "expired" in letter["error"] else Fate.DEAD_LETTERED]
    if conversation is not None and conversation["closed_by"] is not None:
        return [Fate.CLOSED]
    if conversation is not None and (conversation["status"] == "handoff" or conversation["taken_by"] is not None):
        return [Fate.LEFT_TO_A_PERSON]
    return []
