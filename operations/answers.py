"""What came of one message that a contact wrote, for whoever waits for the answer."""

from dataclasses import dataclass

from projections.database import Database, sql
from projections.state import ClosedBy, ReplyStatus, Status

_HAS_FAILED = frozenset({ReplyStatus.FAILED, ReplyStatus.UNCONFIRMED, ReplyStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Answers:
    """
    The messages that answer it so far, by sid, and how it stands with the rest.

    `is_settled`: nothing more comes by itself. `silence` says why nobody answers, `failure` why nobody could.
    """

    sids: frozenset[str]
    is_settled: bool = False
    silence: str | None = None
    failure: str | None = None


async def answers_to(database: Database, sid: str) -> Answers:
    """As the read model has it now; nothing yet for a message that it does not know. Raises `ReadModelUnavailable`."""
    async with database.transaction(readonly=True) as connection:
        row = await connection.fetchrow(sql("answers_to_message"), sid)
    if row is None:
        return Answers(frozenset())
    replies = {ReplyStatus(status) for status in row["replies"]}
    silence = None if replies else _silence(row["status"], row["closed_by"], row["taken_by"])
    is_given_up = row["error"] is not None or silence is not None
    return Answers(
        sids=frozenset(row["sids"]),
        is_settled=(bool(replies) or is_given_up) and ReplyStatus.ACCEPTED not in replies,
        silence=silence,
        failure=_failure(row["error"], replies),
    )


def _silence(status: str | None, closed_by: str | None, taken_by: str | None) -> str | None:
    match status, closed_by:
        case Status.HANDOFF, _:
            return (
                f"a person has taken this conversation over ({taken_by})" if taken_by else "this conversation waits for a person"
            )
        case Status.CLOSED, ClosedBy.CONTACT:
            return "this word closes a conversation, and is not answered; the next message opens a new one"
        case Status.CLOSED, ClosedBy.PERSON:
            return "a person has closed this conversation; the next message opens a new one"
    return None


def _failure(error: str | None, replies: set[ReplyStatus]) -> str | None:
    if error is not None:
        return f"no model could answer ({error}); see: prosa dead-letters list"
    if replies & _HAS_FAILED:
        return "the reply could not be sent; see: prosa sends list"
    return None
