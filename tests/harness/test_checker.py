"""The checker itself: it finds nothing in a clean history, and each kind of violation when one is put in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

import pytest

from projections.lateness import RECONCILER
from projections.rows import dump_thread
from projections.state import Conversation, DeadLetter, Message, Reply
from streams.errors import EX_CONFIG
from streams.events import ConversationTaken, EventDeadLettered, MessageSent, ReplyGenerated, SendStarted, SendUnconfirmed
from streams.log import Record
from tests.harness.allowed import STRICT, Allowed, Fate
from tests.harness.checker import violations
from tests.harness.history import Accepted, Attempt, History, Row, Written
from tests.harness.programs import Ended
from tests.harness.refold import misread
from tests.projections.read_model import PARTITIONS, Expected, Log, thread_in

ANA_THREAD, BIA_THREAD = thread_in(0), thread_in(1)
ANA, BIA = (thread.partition("|")[2] for thread in (ANA_THREAD, BIA_THREAD))
INTRODUCTION = "I am offline."
B1 = f"{INTRODUCTION}\nYou said: “b1”."
A1 = f"{INTRODUCTION}\nYou said: “a1”."
A2 = (f"{INTRODUCTION}\nYou sent 2 messages:\n1. “a2”", "2. “a3”\nBefore that you said: “a1”.")
WRITTEN = [Written(ANA, "SM1", "a1"), Written(BIA, "SM2", "b1"), Written(ANA, "SM3", "a2"), Written(ANA, "SM4", "a3")]
PARTS = (("R1", 0), ("R2", 0), ("R3", 0), ("R3", 1))
LETTER = {
    **asdict(DeadLetter("event-000001", "responder", None, error="E", fingerprint="E", attempts=5, at_ms=0)),
    "event_id": "event-000001",
    "consumer_group": "responder",
}
TOO_LATE = Written(BIA, "SM9", "b2")


def clean() -> History:
    """Ana wrote thrice and was answered twice, the second time in two parts; Bia wrote once."""
    log = Log()
    a1, b1 = (log.receive(thread_of(each.contact), each.sid, each.body) for each in WRITTEN[:2])
    accepted = [
        *_answered(log, BIA, "R1", b1, b1, (B1,), ("SM5",)),
        *_answered(log, ANA, "R2", a1, a1, (A1,), ("SM6",)),
    ]
    a2, a3 = (log.receive(thread_of(each.contact), each.sid, each.body) for each in WRITTEN[2:])
    _generate(log, ANA, "R4", a2, a2, ("too early",))
    accepted += _answered(log, ANA, "R3", a2, a3, A2, ("SM7", "SM8"))
    return told_by(log, accepted)


def told_by(log: Log, accepted: Sequence[Accepted], written: Sequence[Written] = WRITTEN) -> History:
    """A history in which everybody tells what stands in the log."""
    return History(
        written=written,
        accepted=accepted,
        arrived=[each.sid for each in accepted],
        statuses={each.sid: "read" for each in accepted},
        logged={each.sid: "webhook" for each in WRITTEN},
        attempts={
            f"{reply}-{part}": Attempt(reply, part, 0.1)
            for reply, parts in {"R1": 1, "R2": 1, "R3": 2}.items()
            for part in range(parts)
        },
        tables=_tables(log.records),
        records=tuple(log.records),
        partitions=PARTITIONS,
    )


def thread_of(contact: str) -> str:
    return ANA_THREAD if contact == ANA else BIA_THREAD


def _generate(log: Log, contact: str, reply: str, first: str, last: str, parts: tuple[str, ...]) -> None:
    generated = ReplyGenerated(reply=reply, first_event=first, last_event=last, parts=parts)
    log.add(generated, thread_of(contact))


def _answered(
    log: Log, contact: str, reply: str, first: str, last: str, parts: tuple[str, ...], sids: tuple[str, ...]
) -> list[Accepted]:
    _generate(log, contact, reply, first, last, parts)
    for part, sid in enumerate(sids):
        attempt, thread = f"{reply}-{part}", thread_of(contact)
        log.add(SendStarted(reply=reply, part=part, attempt=attempt), thread)
        log.add(MessageSent(reply=reply, part=part, attempt=attempt, sid=sid), thread)
        log.status(thread, sid, "read", attempt)
    return [Accepted(contact, sid, body, f"{reply}-{part}") for part, (sid, body) in enumerate(zip(sids, parts, strict=True))]


def _tables(records: Sequence[Record]) -> dict[str, Sequence[Row]]:
    """The rows as a projector would have left them, as far as anybody here looks at them."""
    expected = Expected().fold(records)
    changes = list(expected.changes.values())
    last = {record.partition: record.position for record in records}
    return {
        "checkpoints": [{"partition": partition, "position": position} for partition, position in last.items()],
        "events": [
            {
                "epoch": record.epoch,
                "partition": record.partition,
                "position": record.position,
                "digest": sha256(record.value).digest(),
            }
            for record in records
        ],
        "threads": [{"thread": name, "state": dump_thread(state)} for name, state in expected.threads.items()],
        "conversations": [asdict(each) for each in changes if isinstance(each, Conversation)],
        "messages": [{**asdict(each), "event_id": each.event} for each in changes if isinstance(each, Message)],
        "replies": [
            {**asdict(each), "event_id": each.event, "answers": [message.event for message in each.covers]}
            for each in changes
            if isinstance(each, Reply)
        ],
        "dead_letters": [
            {**asdict(each), "event_id": each.event, "consumer_group": each.group}
            for each in changes
            if isinstance(each, DeadLetter)
        ],
        "skipped_events": [],
    }


def told(history: History, allowed: Allowed = STRICT) -> set[str]:
    return {violation.partition(":")[0] for violation in violations(history, allowed)}


def rows(history: History, table: str, changed: Callable[[Row], Row | None]) -> History:
    """The same history with other rows; what becomes None is gone."""
    kept = [new for row in history.tables[table] if (new := changed(row)) is not None]
    return replace(history, tables={**history.tables, table: kept})


def more(history: History, table: str, **row: Any) -> History:
    return replace(history, tables={**history.tables, table: [*history.tables[table], row]})


def of_sid(sid: str, **values: Any) -> Callable[[Row], Row | None]:
    return lambda row: {**row, **values} if row["sid"] == sid else row


def of_reply(reply: str, **values: Any) -> Callable[[Row], Row | None]:
    return lambda row: {**row, **values} if row["id"] == reply else row


def row_of(history: History, sid: str) -> Row:
    return next(row for row in history.messages if row["sid"] == sid)


def without_sid(sid: str) -> Callable[[Row], Row | None]:
    return lambda row: None if row["sid"] == sid else row


def without(logged: Mapping[str, str], *sids: str) -> Mapping[str, str]:
    return {sid: source for sid, source in logged.items() if sid not in sids}


def spoken(history: History, sid: str, **values: Any) -> History:
    return replace(history, accepted=[replace(each, **values) if each.sid == sid else each for each in history.accepted])


def swapped(history: History, one: int, other: int) -> History:
    accepted = list(history.accepted)
    accepted[one], accepted[other] = accepted[other], accepted[one]
    return replace(history, accepted=accepted)


def again(history: History, **values: Any) -> History:
    """The first message of ours once more, under another sid."""
    return replace(history, accepted=[*history.accepted, replace(history.accepted[0], **{"sid": "SM99", **values})])


BREACHES: dict[str, tuple[str, Callable[[History], History]]] = {
    "an acknowledged message is not in the log": ("lost", lambda h: replace(h, logged=without(h.logged, "SM1"))),
    "an acknowledged message is nowhere": ("unanswered", lambda h: replace(h, written=[*h.written, TOO_LATE])),
    "a message is not answered": ("unanswered", lambda h: replace(h, accepted=h.accepted[1:])),
    "a reply is not sent": ("unanswered", lambda h: rows(h, "replies", of_reply("R1", status="accepted"))),
    "a message is covered by no reply": ("unanswered", lambda h: rows(h, "replies", of_reply("R1", answers=[]))),
    "a message is covered by two replies": (
        "coverage",
        lambda h: rows(h, "replies", of_reply("R4", status="sent", answers=["event-000000"])),
    ),
    "a message is answered by two replies": ("answered twice", lambda h: again(h, attempt="B2")),
    "a later message is answered first": ("out of order", lambda h: replace(h, accepted=[*h.accepted[2:], *h.accepted[:2]])),
    "two messages change places in one reply": (
        "out of order",
        lambda h: spoken(spoken(h, "SM7", body="1. “a3”"), "SM8", body="2. “a2”\nBefore that you said: “a1”."),
    ),
    "a second part is sent before the first": ("out of order", lambda h: swapped(h, 2, 3)),
    "a reply goes to another contact": ("stray", lambda h: spoken(h, "SM5", contact=ANA)),
    "a reply answers nothing": ("stray", lambda h: spoken(h, "SM5", body=INTRODUCTION)),
    "a reply answers what nobody wrote": ("stray", lambda h: spoken(h, "SM5", body="“b2”")),
    "a reply forgets what was before": ("forgotten", lambda h: spoken(h, "SM8", body="2. “a3”")),
    "one attempt is accepted twice": ("sent twice", lambda h: again(h)),
    "one part of a reply is accepted twice": (
        "sent twice",
        lambda h: replace(again(h, attempt="B2"), attempts={**h.attempts, "B2": Attempt("R1", 0)}),
    ),
    "an attempt that nobody began is accepted": ("sent twice", lambda h: spoken(h, "SM5", attempt="B2")),
    "a message never arrives": ("arrival", lambda h: replace(h, arrived=h.arrived[1:])),
    "a message arrives twice": ("arrival", lambda h: replace(h, arrived=[*h.arrived, "SM5"])),
    "Twilio has no final status": ("status", lambda h: replace(h, statuses={**h.statuses, "SM6": "delivered"})),
    "the row has another status than Twilio": ("status", lambda h: rows(h, "messages", of_sid("SM6", status="sent"))),
    "a message is missing in the read model": ("rows", lambda h: rows(h, "messages", without_sid("SM1"))),
    "a duplicate is counted": ("rows", lambda h: more(h, "messages", **h.messages[0])),
    "the read model has a message that no contact wrote": ("rows", lambda h: replace(h, written=h.written[1:])),
    "the read model has a message that Twilio has not": ("rows", lambda h: replace(h, accepted=h.accepted[1:])),
    "the read model does not know what was sent": ("rows", lambda h: rows(h, "messages", without_sid("SM6"))),
    "a superseded reply is sent": (
        "superseded",
        lambda h: replace(h, attempts={**h.attempts, "R1-0": Attempt("R4", 0)}),
    ),
    "a withdrawn reply is sent": ("withdrawn", lambda h: rows(h, "replies", of_reply("R1", status="withdrawn"))),
    "a reply failed": ("fate", lambda h: rows(h, "replies", of_reply("R1", status="failed"))),
    "nobody can tell about a send": ("fate", lambda h: rows(h, "replies", of_reply("R1", status="unconfirmed"))),
    "what Twilio lists is left to a person": (
        "unconfirmed",
        lambda h: replace(h, attempts={**h.attempts, "R1-0": Attempt("R1", 0, 4.0, SendUnconfirmed.name)}),
    ),
    "there is a dead letter": (
        "left over",
        lambda h: more(h, "dead_letters", **LETTER),
    ),
    "an event was skipped": ("left over", lambda h: more(h, "skipped_events", partition=0, position=1)),
    "a group lags": ("behind", lambda h: replace(h, behind=["sender: partition 0"])),
    "a row says something else than the log": ("refold", lambda h: rows(h, "replies", of_reply("R2", closes=True))),
    "a thread's state is another one than the log's": (
        "refold",
        lambda h: rows(h, "threads", lambda row: {**row, "state": b'{"thread": "?"}'}),
    ),
    "an event is missing in the archive": (
        "refold",
        lambda h: rows(h, "events", lambda row: None if row["position"] == 1 else row),
    ),
    "an event in the archive is another one than in the log": (
        "refold",
        lambda h: rows(h, "events", lambda row: {**row, "digest": b"another"}),
    ),
    "the archive has an event that the log has not": ("refold", lambda h: replace(h, records=h.records[:-1])),
    "a worker ends for good": ("fatal", lambda h: replace(h, ends=[Ended("handlers-1", EX_CONFIG, 0.0)])),
    "the log has a new generation": ("fatal", lambda h: repaired(h)),
}


def test_a_clean_history_has_no_violation() -> None:
    assert violations(clean()) == []


@pytest.mark.parametrize("breach", BREACHES)
def test_the_checker_finds(breach: str) -> None:
    law, inject = BREACHES[breach]
    assert law in told(inject(clean()))


def test_what_was_not_acknowledged_may_be_lost_but_not_answered_twice() -> None:
    unheard = replace(TOO_LATE, is_acked=False)
    history = replace(clean(), written=[*WRITTEN, unheard])
    assert violations(history) == []
    answer = Accepted(BIA, "SM98", "“b2”", "B2")
    assert "answered twice" in told(replace(history, accepted=[*history.accepted, answer, replace(answer, sid="SM99")]))


def test_what_was_not_acknowledged_must_be_there_where_it_is_fetched() -> None:
    unheard = replace(TOO_LATE, is_acked=False)
    assert told(replace(clean(), written=[*WRITTEN, unheard]), Allowed(fetches=True)) == {"lost"}


def test_a_failure_sentence_answers_nothing_and_is_told_once_before_the_next_answer() -> None:
    spoken_of = {**clean().replies[0], "kind": "failure_sentence", "status": "sent", "answers": []}
    history = more(clean(), "replies", **{**spoken_of, "id": "R9", "event_id": "E9"})
    history = replace(history, attempts={**history.attempts, "R9-0": Attempt("R9", 0)})
    sentence = Accepted(BIA, "SM90", "Sorry.", "R9-0")
    once = replace(history, accepted=[sentence, *history.accepted])
    assert "stray" in told(once)
    assert "stray" not in told(once, Allowed(failure_sentences=True))
    history = more(once, "replies", **{**spoken_of, "id": "R8", "event_id": "E8"})
    twice = replace(
        history,
        accepted=[replace(sentence, sid="SM91", attempt="R8-0"), *history.accepted],
        attempts={**history.attempts, "R8-0": Attempt("R8", 0)},
    )
    assert "stray" in told(twice, Allowed(failure_sentences=True))


def test_a_part_that_fails_on_its_way_after_the_next_was_sent_turns_no_order_round() -> None:
    history = clean()
    failed = replace(history, statuses={**history.statuses, "SM7": "undelivered"})
    assert not any("part 1 of reply R3" in violation for violation in violations(failed))


LOST_TAIL = Allowed(lost_tail=True)


def repaired(history: History) -> History:
    """The log is of the second generation, and all of it was folded in the first; nobody tells that anything was wrong."""
    return replace(history, records=[replace(each, epoch=2) for each in history.records])


def noticed(history: History) -> History:
    return replace(history, ends=[Ended("handlers-1", EX_CONFIG, 0.0)])


def after_a_loss() -> History:
    """Ana's first message was lost with the tail, was fetched after she had written two more, and was answered last."""
    log = Log()
    b1 = log.receive(BIA_THREAD, "SM2", "b1")
    accepted = _answered(log, BIA, "R1", b1, b1, (B1,), ("SM5",))
    a2, a3 = (log.receive(ANA_THREAD, sid, body) for sid, body in (("SM3", "a2"), ("SM4", "a3")))
    accepted += _answered(log, ANA, "R3", a2, a3, ("1. “a2”", "2. “a3”"), ("SM7", "SM8"))
    a1 = log.receive(ANA_THREAD, "SM1", "a1")
    accepted += _answered(log, ANA, "R2", a1, a1, (f"{A1}\nBefore that you said: “a3”.",), ("SM6",))
    logged = {"SM2": "webhook", "SM3": "webhook", "SM4": "webhook", "SM1": RECONCILER}
    return replace(noticed(repaired(told_by(log, accepted))), logged=logged)


def test_what_was_lost_with_the_tail_may_stand_where_the_reconciler_put_it() -> None:
    history = after_a_loss()
    assert violations(history, LOST_TAIL) == []
    assert told(history) == {"out of order", "forgotten", "fatal"}


BREACHES_AFTER_A_LOSS: dict[str, tuple[str, Callable[[History], History]]] = {
    "nobody notices": ("unnoticed", lambda h: replace(h, ends=[])),
    "what was lost is never fetched": ("lost", lambda h: replace(h, logged=without(h.logged, "SM1"))),
    "what came back is not answered": ("unanswered", lambda h: replace(h, accepted=h.accepted[:-1])),
    "nothing becomes of what came back": ("unanswered", lambda h: rows(h, "replies", of_reply("R2", answers=[]))),
    "what came back is answered twice": (
        "answered twice",
        lambda h: replace(h, accepted=[*h.accepted, replace(h.accepted[-1], sid="SM99", attempt="B2")]),
    ),
    "what came back is counted twice": ("rows", lambda h: more(h, "messages", **row_of(h, "SM1"))),
    "a send is made again": ("sent twice", lambda h: again(h)),
    "a send of which the log lost all is made again": ("sent twice", lambda h: again(h, attempt="B2")),
    "a send of which the archive knew nothing was made": (
        "sent twice",
        lambda h: replace(h, attempts={name: each for name, each in h.attempts.items() if name != "R1-0"}),
    ),
    "what came back is answered in another place than the log has it": (
        "out of order",
        lambda h: replace(h, accepted=[h.accepted[-1], *h.accepted[:-1]]),
    ),
    "what was not lost changes places": (
        "out of order",
        lambda h: spoken(spoken(h, "SM7", body="1. “a3”"), "SM8", body="2. “a2”"),
    ),
    "what only the archive had does not come back": ("refold", lambda h: replace(h, records=h.records[1:])),
    "what only the archive had comes back in another order": (
        "refold",
        lambda h: replace(h, records=[h.records[1], h.records[0], *h.records[2:]]),
    ),
    "what is in the log twice was folded once": ("refold", lambda h: replace(h, records=[*h.records, h.records[-1]])),
    "what was folded is not in the archive": (
        "refold",
        lambda h: rows(h, "events", lambda row: None if row["position"] == 1 else row),
    ),
    "there is a dead letter": ("left over", lambda h: more(h, "dead_letters", **LETTER)),
    "nobody can tell about a send": ("fate", lambda h: rows(h, "replies", of_reply("R1", status="unconfirmed"))),
    "a group lags": ("behind", lambda h: replace(h, behind=["sender: partition 0"])),
}


@pytest.mark.parametrize("breach", BREACHES_AFTER_A_LOSS)
def test_after_a_loss_the_checker_finds(breach: str) -> None:
    law, inject = BREACHES_AFTER_A_LOSS[breach]
    assert law in told(inject(after_a_loss()), LOST_TAIL)


def test_what_a_repair_wrote_is_compared_with_the_archive_entry_by_entry() -> None:
    """Not every event shows in a row."""
    first, second, *rest = after_a_loss().records
    less = violations(replace(after_a_loss(), records=[second, *rest]), LOST_TAIL)
    assert any("of generation 1 is not in the log" in violation for violation in less)
    turned = violations(replace(after_a_loss(), records=[second, first, *rest]), LOST_TAIL)
    assert any("was folded later than what stands before it" in violation for violation in turned)
    inside = replace(clean(), records=clean().records[:-1])
    assert any("is not in the log" in violation for violation in violations(inside))


def test_what_was_archived_twice_in_the_same_bytes_is_twice_in_what_a_repair_wrote() -> None:
    """As an append that was repeated after its answer was lost: each of both counts as a place of its own."""
    log = Log()
    log.receive(ANA_THREAD, "SM1", "a1")
    log.add_bytes(log.records[0].value, log.records[0].partition)
    log.receive(ANA_THREAD, "SM3", "a2")
    history = repaired(told_by(log, []))
    assert misread(history) == []
    first, again, last = history.records
    for kept in ([first, last], [again, last], [last]):
        missing = misread(replace(history, records=kept))
        assert len([line for line in missing if "of generation 1 is not in the log" in line]) == 3 - len(kept)
    thrice = misread(replace(history, records=[first, again, replace(again, position=last.position)]))
    assert f"archive: {last.partition}/{last.position} is missing" in thrice


def test_what_is_fetched_is_answered_in_its_place_in_the_log() -> None:
    """Also where no webhook ever brought it."""
    history = replace(after_a_loss(), ends=[], records=told_by_one_generation(after_a_loss()))
    unheard = [replace(each, is_acked=each.sid != "SM1") for each in WRITTEN]
    assert violations(replace(history, written=unheard), Allowed(fetches=True)) == []
    turned = replace(history, written=unheard, accepted=[history.accepted[-1], *history.accepted[:-1]])
    assert "out of order" in told(turned, Allowed(fetches=True))


def told_by_one_generation(history: History) -> list[Record]:
    return [replace(each, epoch=1) for each in history.records]


def test_a_part_that_twilio_could_not_deliver_may_be_sent_again() -> None:
    history = clean()
    lost = Accepted(BIA, "SM99", B1, "R1-9")
    resent = replace(
        history,
        accepted=[lost, *history.accepted],
        statuses={**history.statuses, "SM99": "undelivered"},
        attempts={**history.attempts, "R1-9": Attempt("R1", 0)},
    )
    assert told(resent) == {"rows"}, "only its row is missing here"


@pytest.mark.parametrize(
    ("fate", "ending"),
    [
        (Fate.UNCONFIRMED, "unconfirmed"),
        (Fate.DEAD_LETTERED, "dead letter"),
        (Fate.LEFT_TO_A_PERSON, "taken"),
    ],
)
def test_another_fate_than_an_answer_is_a_violation_unless_the_run_allows_it(fate: Fate, ending: str) -> None:
    log = Log()
    event = log.receive(BIA_THREAD, "SM2", "b1")
    match ending:
        case "unconfirmed":
            _generate(log, BIA, "R1", event, event, (B1,))
            log.add(SendStarted(reply="R1", part=0, attempt="R1-0"), BIA_THREAD)
            log.add(SendUnconfirmed(reply="R1", part=0, attempt="R1-0"), BIA_THREAD)
        case "dead letter":
            log.add(EventDeadLettered(event=event, group="responder", attempts=5, error="E", fingerprint="E"), BIA_THREAD)
        case "taken":
            log.add(ConversationTaken(by="Rita"), BIA_THREAD)
    history = told_by(log, (), [WRITTEN[1]])
    assert "fate" in told(history)
    assert violations(history, Allowed(fates=frozenset({Fate.ANSWERED, fate}))) == []
