"""What cannot be read, folded or written is recorded as skipped, with its bytes, and harms nobody else."""

import json
from collections.abc import Callable

import pytest

from projections import folding
from projections.conversation import evolve
from projections.database import Database
from projections.state import PartitionState, ThreadState
from streams.errors import NewerEvent
from streams.events import ClockAdvanced, ConversationTaken, Event, MessageReceived, MessageStatusChanged, PolicyChanged
from streams.log import Record
from tests.projections.read_model import HOUR_MS, Log, Projecting, Row, assert_chained, dump, positions_in, thread_in

ILL = thread_in(0, 0)
NEIGHBOUR = thread_in(0, 1)
ELSEWHERE = thread_in(1, 0)


@pytest.fixture
def ill_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fold has a fault that only one thread meets."""

    def faulty(state: ThreadState, event: Event, partition: PartitionState) -> ThreadState:
        if state.thread == ILL and (event.subject == ILL or state.inbound_count > 1):
            raise ZeroDivisionError
        return evolve(state, event, partition)

    monkeypatch.setattr(folding, "evolve", faulty)


def places(rows: list[Row]) -> list[tuple[int, int, str]]:
    return [(row["partition"], row["position"], row["thread"]) for row in rows]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        b"\xff\xfe\xfd",
        b'{"type":',
        b"[]",
        b'{"specversion":"1.0"}',
        b'{"type":"prosa.message.received.v1","data":{"sid":"SM1"}}',
        b'{"type":"com.example.other.v1","data":{}}',
        b'{"type":"prosa.message.received.v1","data":{"\\u0000":1}}',
        b"[" * 100_000,
        b"x" * 3_000_000,
    ],
    ids=lambda value: repr(value[:60]),
)
async def test_bytes_that_are_no_event_are_skipped_and_their_neighbours_unharmed(
    database: Database, projecting: Projecting, value: bytes
) -> None:
    log = Log()
    log.receive(NEIGHBOUR, "SM1")
    log.add_bytes(value, 0)
    log.receive(NEIGHBOUR, "SM2")
    log.receive(ELSEWHERE, "SM3")

    await projecting.catch_up(log.records)

    rows = await dump(database)
    assert places(rows["skipped_events"]) == [(0, 2, "")]
    assert rows["skipped_events"][0]["value"] == value
    assert rows["skipped_events"][0]["error"]
    assert {row["sid"] for row in rows["messages"]} == {"SM1", "SM2", "SM3"}
    assert [row["type"] for row in rows["events"]].count(None) == 1
    assert_chained(rows["events"], log.records)


async def test_a_thread_that_cannot_be_folded_is_recorded_and_its_neighbours_go_on(
    database: Database, projecting: Projecting, ill_thread: None
) -> None:
    log = Log()
    log.receive(NEIGHBOUR, "SM1")
    log.receive(ILL, "SM2")
    log.receive(NEIGHBOUR, "SM3")

    await projecting.catch_up(log.records)

    rows = await dump(database)
    assert places(rows["skipped_events"]) == [(0, 2, ILL)]
    assert rows["skipped_events"][0]["error"] == "ZeroDivisionError"
    assert rows["skipped_events"][0]["value"] == log.records[1].value
    assert [row["thread"] for row in rows["threads"]] == [NEIGHBOUR]
    assert {row["sid"] for row in rows["messages"]} == {"SM1", "SM3"}
    assert [row["subject"] for row in rows["events"]] == [NEIGHBOUR, ILL, NEIGHBOUR]


async def test_a_tick_that_fails_on_one_thread_serves_the_others_and_later_ones_pass_it_over(
    database: Database, projecting: Projecting, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """It is recorded once. An event of its own finds it as it was; once that can be folded, silence counts again."""
    log = Log()
    for sid in ("SM1", "SM2"):
        log.receive(ILL, sid)
        log.receive(NEIGHBOUR, sid + "n")
    await projecting.catch_up(log.records)
    request.getfixturevalue("ill_thread")
    log.wait(49 * HOUR_MS)
    log.tick(0)
    log.tick(0)
    await projecting.catch_up(log.records)
    log.tick(0)
    await Projecting(database).catch_up(log.records)

    rows = await dump(database)
    assert {row["thread"]: row["status"] for row in rows["conversations"]} == {ILL: "pending", NEIGHBOUR: "expired"}
    assert places(rows["skipped_events"]) == [(0, 5, ILL)]

    monkeypatch.setattr(folding, "evolve", evolve)
    log.receive(ILL, "SM3")
    log.wait(49 * HOUR_MS)
    log.tick(0)
    await Projecting(database).catch_up(log.records)
    statuses = [row["status"] for row in (await dump(database))["conversations"] if row["thread"] == ILL]
    assert statuses == ["expired", "expired"]


UNSTORABLE: dict[str, Callable[[Log], object]] = {
    "NUL in the body": lambda log: log.receive(ILL, "SM2", "a\0b"),
    "NUL in the thread": lambda log: log.add_bytes(log_of(ILL + "\0"), 0),
    "NUL in the sid": lambda log: log.receive(ILL, "SM\0"),
    "NUL in the event id": lambda log: log.add(ConversationTaken(by="ana"), ILL, event_id="a\0b"),
    "NUL in the owner": lambda log: log.add(ConversationTaken(by="ana"), ILL, owner="a\0b"),
    "a thread too long for an index": lambda log: log.add_bytes(
        log_of("".join(chr(0x4E00 + i * 7 % 20000) for i in range(9000))), 0
    ),
    "an error code out of range": lambda log: log.add(MessageStatusChanged(sid="SM2", status="failed", error_code=10**12), ILL),
    "an error code of 5000 digits": lambda log: log.add_bytes(with_error_code("9" * 4000), 0),
    "a number that JSON does not have": lambda log: log.add_bytes(with_error_code("null").replace(b'"form":{}', b'"x":NaN'), 0),
    "an offset beyond the calendar": lambda log: log.add_to_partition(ClockAdvanced(offset_ms=10**15), 0),
    "an offset beyond every number": lambda log: log.add_to_partition(ClockAdvanced(offset_ms=10**30), 0),
    "a policy of endless patience": lambda log: log.add_bytes(policy_of_minutes("1e999"), 0),
    "a policy of patience beyond the calendar": lambda log: log.add_bytes(policy_of_minutes("1e15"), 0),
}


def log_of(thread: str) -> bytes:
    log = Log()
    log.receive(thread, "SM-odd")
    return log.records[0].value


def with_error_code(code: str) -> bytes:
    log = Log()
    log.status(ILL, "SM2", "failed")
    return log.records[0].value.replace(b'"error_code":null', b'"error_code":' + code.encode())


def policy_of_minutes(minutes: str) -> bytes:
    log = Log()
    log.add_to_partition(PolicyChanged(idle_after_minutes=77), 0)
    return log.records[0].value.replace(b"77.0", minutes.encode())


@pytest.mark.parametrize("case", UNSTORABLE)
async def test_an_event_that_postgres_cannot_store_is_skipped_and_its_neighbours_unharmed(
    database: Database, projecting: Projecting, case: str
) -> None:
    log = Log()
    log.receive(NEIGHBOUR, "SM1")
    log.receive(ILL, "SM1i")
    UNSTORABLE[case](log)
    log.receive(ILL, "SM3i")
    log.receive(NEIGHBOUR, "SM3")
    log.receive(ELSEWHERE, "SM4")
    odd = log.records[2]

    await projecting.catch_up(log.records)

    rows = await dump(database)
    assert places(rows["skipped_events"]) == [(odd.partition, odd.position, "")]
    assert rows["skipped_events"][0]["value"] == odd.value
    assert {row["sid"] for row in rows["messages"]} == {"SM1", "SM1i", "SM3i", "SM3", "SM4"}
    assert len(rows["conversations"]) == 3
    assert await positions_in(database) == {record.partition: record.position for record in log.records} | {2: 0, 3: 0}
    assert_chained(rows["events"], log.records)


async def test_many_that_cannot_be_stored_are_each_found(database: Database, projecting: Projecting) -> None:
    log = Log()
    for number in range(40):
        log.receive(NEIGHBOUR, f"SM{number}", "\0" if number % 7 == 0 else "Olá")

    await projecting.catch_up(log.records)

    rows = await dump(database)
    assert [row["position"] for row in rows["skipped_events"]] == [number + 1 for number in range(40) if number % 7 == 0]
    assert len(rows["messages"]) == 40 - 6
    assert len({row["id"] for row in rows["conversations"]}) == 1


def newer(log: Log, thread: str) -> Record:
    """An event that only a newer process can read."""
    log.receive(thread, "SM-new")
    record = log.records.pop()
    return log.add_bytes(record.value.replace(b"received.v1", b"received.v2"), record.partition)


async def test_a_newer_event_makes_the_process_decline_its_partition_and_nothing_after_it_is_projected(
    database: Database, projecting: Projecting
) -> None:
    log = Log()
    log.receive(NEIGHBOUR, "SM1")
    newer(log, ILL)
    log.receive(NEIGHBOUR, "SM2")
    log.receive(ELSEWHERE, "SM3")

    await projecting.catch_up(log.records)

    assert [partition for partition, _ in projecting.declined] == [0]
    assert isinstance(projecting.declined[0][1], NewerEvent)
    rows = await dump(database)
    assert {row["sid"] for row in rows["messages"]} == {"SM1", "SM3"}
    assert rows["skipped_events"] == []
    assert await positions_in(database) == {0: 1, 1: 1, 2: 0, 3: 0}


async def test_a_declined_partition_stays_declined_until_its_position_is_asked_for_again(
    database: Database, projecting: Projecting
) -> None:
    log = Log()
    newer(log, ILL)
    log.receive(NEIGHBOUR, "SM1")
    await projecting.catch_up(log.records[:1])

    await projecting.projector.project(log.records[1:])

    assert (await positions_in(database))[0] == 0
    await projecting.catch_up(log.records)
    assert len(projecting.declined) == 2


async def test_a_batch_that_begins_with_a_newer_event_is_no_failure(database: Database, projecting: Projecting) -> None:
    log = Log()
    newer(log, ILL)

    await projecting.catch_up(log.records)

    assert [partition for partition, _ in projecting.declined] == [0]
    assert (await dump(database))["events"] == []


async def test_a_message_with_every_kind_of_text_survives_as_it_was(database: Database, projecting: Projecting) -> None:
    body = '\'; DROP TABLE messages; -- {"a": [1]} \\ \\u0041 \t\n\r \x01 é 漢 🙂 \u202e \ufffe'
    log = Log()
    log.add(
        MessageReceived(sid="SM1", kind="text", body=body, profile_name=body, choice=body, form={body: (body, body)}), NEIGHBOUR
    )

    await projecting.catch_up(log.records)

    rows = await dump(database)
    assert rows["skipped_events"] == []
    assert [(row["body"], row["profile_name"], row["choice"]) for row in rows["messages"]] == [(body, body, body)]
    assert json.loads(rows["events"][0]["event"])["data"]["form"] == {body: [body, body]}
