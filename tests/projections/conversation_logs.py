"""
Random logs of one thread: what may happen, what hardly can, and silences of every length between.

Each entry is drawn with a look at what was folded so far, so that most of them mean something: an answer to what waits, an
outcome of the attempt that holds a part. The rest name what is old, foreign or not there at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from projections.changes import RESPONDER, SENDER
from projections.state import PartStatus, Reply
from streams.events import AfterHandoff, Rejection
from tests.projections.scenario import (
    STARTED_AT_MS,
    Fact,
    History,
    advanced,
    again,
    attempt_failed,
    attempt_paused,
    attempt_started,
    cancelled,
    closed,
    dead_lettered,
    discarded,
    disproved,
    failed,
    generated,
    person_replied,
    policy,
    received,
    redriven,
    rejected,
    released,
    sent,
    started,
    status,
    taken,
    ticked,
    unconfirmed,
)

SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000
MOST_ENTRIES = 40
STATUSES = ("accepted", "queued", "sending", "sent", "delivered", "read", "failed", "undelivered", "canceled")
SILENCES = (*[0] * 30, *[SECOND_MS] * 10, MINUTE_MS, 25 * HOUR_MS)


@dataclass(frozen=True)
class Line:
    """One entry of a log; its fact has an id of its own."""

    at_ms: int
    fact: Fact


Log = tuple[Line, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]
Kind = Callable[[Draw, History, int], Fact]


def told(log: Sequence[Line], history: History | None = None) -> History:
    """What a log says, or what it adds to a history."""
    history = history or History()
    for line in log:
        history = replace(history, now_ms=line.at_ms).when(line.fact)
    return history


def tick_at(at_ms: int, name: str) -> Line:
    return Line(at_ms, again(ticked(), name))


def ended(log: Log) -> Log:
    """The log with a tick after its last entry, so that what came due by then is applied."""
    return (*log, tick_at(log[-1].at_ms if log else STARTED_AT_MS, "the last tick"))


@st.composite
def logs(draw: Draw, least: int = 12, most: int = MOST_ENTRIES) -> Log:
    """A log in which time never goes back and every entry has its own id."""
    lines: list[Line] = []
    history = History()
    for number in range(draw(st.integers(least, most))):
        at_ms = history.now_ms + draw(st.sampled_from([*SILENCES, *_around_deadline(history)]))
        fact = policies(draw) if number == 0 and draw(st.booleans()) else _fact(draw, history, number)
        line = Line(at_ms, again(fact, f"e{number}"))
        history = told([line], history)
        lines.append(line)
    return tuple(lines)


def _around_deadline(history: History) -> list[int]:
    """How long it is until the next deadline, and a little less or more."""
    conversation = history.state.open_conversation
    if conversation is None or conversation.next_deadline_at_ms is None:
        return []
    left = conversation.next_deadline_at_ms - history.partition.log_time_ms
    return [max(0, left + more) for more in (-1, 0, 1)]


def _fact(draw: Draw, history: History, number: int) -> Fact:
    """Every other time what an undisturbed conversation would come to next; else anything."""
    kind = _expected(history) if draw(st.booleans()) else draw(st.sampled_from(_KINDS))
    fact: Fact = kind(draw, history, number)
    return fact


def _expected(history: History) -> Kind:
    if any(reply.status == "accepted" for reply in history.state.replies):
        return _sending
    return _generated if history.waiting and history.state.ai_may_answer else _received


# ---------------------------------------------------------------------------------------------------- contact and AI


def _received(draw: Draw, history: History, number: int) -> Fact:
    sids = [sid for sid, message in history.messages.items() if message.direction == "inbound"]
    sid = draw(st.sampled_from([f"SM-in-{number}"] * 9 + sids[-1:]))
    return received("", draw(st.sampled_from(["Olá", "Olá", "Olá", "tchau"])), sid=sid)


def _generated(draw: Draw, history: History, number: int) -> Fact:
    first, last = _range(draw, history)
    return generated(
        _new_or_old(draw, history, number),
        first,
        last,
        parts=draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")])),
        final=draw(st.booleans()),
        closes=draw(st.sampled_from([False, False, True])),
        hands_off=draw(st.sampled_from([False, False, True])),
    )


def _failed(draw: Draw, history: History, number: int) -> Fact:
    first, last = _range(draw, history)
    return failed(f"r{number}", first, last, sentence=draw(st.sampled_from(["Sorry.", None])))


def _range(draw: Draw, history: History) -> tuple[str, str]:
    """Mostly what waits, from the first to one of the last; sometimes any two messages."""
    events = [message.event for message in history.messages.values() if message.direction == "inbound"] or ["e0"]
    if history.waiting and draw(st.integers(0, 9)):
        return history.waiting[0], draw(st.sampled_from(history.waiting[-2:]))
    return draw(st.sampled_from(events)), draw(st.sampled_from(events))


def _new_or_old(draw: Draw, history: History, number: int) -> str:
    return str(draw(st.sampled_from([f"r{number}"] * 9 + [reply.id for reply in history.state.replies[-1:]])))


# ------------------------------------------------------------------------------------------------------------- sends


def _sending(draw: Draw, history: History, number: int) -> Fact:
    """What the sender does next on some reply that is not finished, or something out of turn."""
    replies = history.state.replies or (None,)
    accepted = [reply for reply in history.state.replies if reply.status == "accepted"] or replies
    reply: Reply | None = draw(st.sampled_from([*accepted, *accepted, *accepted, draw(st.sampled_from(replies))]))
    if reply is None:
        return started("r?", f"a{number}")
    index = draw(st.sampled_from([_next(reply)] * 5 + list(range(len(reply.parts)))))
    attempts = [attempt.id for attempt in reply.parts[index].attempts]
    if not attempts or (reply.parts[index].status is PartStatus.OPEN and draw(st.integers(0, 3))):
        return started(reply.id, f"a{number}", index)
    attempt = draw(st.sampled_from([attempts[-1]] * 5 + attempts + [f"a{number}"]))
    outcome = draw(st.sampled_from(_OUTCOMES)) if attempt in attempts else started
    fact: Fact = outcome(reply.id, attempt, index)
    return fact


def _next(reply: Reply) -> int:
    unsent = [index for index, part in enumerate(reply.parts) if part.status is not PartStatus.SENT]
    return unsent[0] if unsent else len(reply.parts) - 1


def _rejected_for_good(reply: str, attempt: str, part: int) -> Fact:
    return rejected(reply, attempt, part, code=63024, reason=Rejection.UNREACHABLE)


def _callback(draw: Draw, history: History, number: int) -> Fact:
    attempts = [attempt.id for reply in history.state.replies for part in reply.parts for attempt in part.attempts]
    attempt = draw(st.sampled_from(attempts[-3:] or [f"a{number}"]))
    told_status = draw(st.sampled_from(STATUSES))
    code = draw(st.sampled_from([None, 63016, 63018])) if told_status in ("failed", "undelivered") else None
    carried = draw(st.sampled_from([attempt, attempt, None]))
    return status(carried, told_status, code=code, sid=f"SM-{attempt}")


def _window_closed(draw: Draw, history: History, number: int) -> Fact:
    reply = draw(st.sampled_from(history.state.replies or (None,)))
    return rejected(reply.id, None, _next(reply), code=63016) if reply else rejected("r?", None)


_OUTCOMES = (*[sent] * 6, disproved, cancelled, unconfirmed, rejected, started, _rejected_for_good)


# ------------------------------------------------------------------------------------------------ people and machines


def _of_a_person(draw: Draw, history: History, number: int) -> Fact:
    parts = draw(st.sampled_from([("p",), ("p", "q")]))
    replied = person_replied(_new_or_old(draw, history, number), *parts)
    fact: Fact = draw(st.sampled_from([taken(), taken("ben"), released(), closed(), replied, replied]))
    return fact


def _redriven(draw: Draw, history: History, number: int) -> Fact:
    letters = [(letter.event, letter.group) for letter in history.state.dead_letters]
    fact: Fact = draw(st.sampled_from([redriven, redriven, discarded]))(*draw(st.sampled_from([*letters, ("e0", RESPONDER)])))
    return fact


def _given_up(draw: Draw, history: History, number: int) -> Fact:
    of_sender = [(reply.event, SENDER) for reply in history.state.replies[-2:]]
    event, group = draw(st.sampled_from([*((event, RESPONDER) for event in history.waiting), *of_sender, ("e0", RESPONDER)]))
    told = [dead_lettered, dead_lettered, attempt_failed, attempt_started, attempt_paused]
    fact: Fact = draw(st.sampled_from(told))(event, group)
    return fact


def _ticked(draw: Draw, history: History, number: int) -> Fact:
    return ticked()


def _advanced(draw: Draw, history: History, number: int) -> Fact:
    return advanced(minutes=draw(st.sampled_from([0, 10, 20, 800, 1500])))


def policies(draw: Draw) -> Fact:
    return policy(
        idle_after_minutes=draw(st.sampled_from([15, 5, 2000])),
        expire_after_minutes=draw(st.sampled_from([1440, 60])),
        expire_pending_after_minutes=draw(st.sampled_from([2880, 90])),
        handoff_expires_after_minutes=draw(st.sampled_from([720, 30])),
        after_handoff=draw(st.sampled_from(AfterHandoff)),
        close_words=draw(st.sampled_from([("tchau",), ("tchau",), ()])),
    )


def _policy(draw: Draw, history: History, number: int) -> Fact:
    return policies(draw)


_KINDS: tuple[Kind, ...] = (
    *[_received] * 3,
    *[_generated] * 2,
    *[_sending] * 4,
    *[_callback] * 3,
    *[_of_a_person] * 3,
    *[_redriven] * 3,
    *[_failed] * 2,
    *[_window_closed] * 2,
    _given_up,
    _ticked,
    _advanced,
    _policy,
)
