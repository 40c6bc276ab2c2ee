"""`docs/data-model.md` says what is there, and its queries run."""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from projections.database import Database
from scripts.data_model import PAGE, columns_of, written
from streams.events import ConversationReleased, ConversationTaken, MessageReceived, PersonReplied, ReplyGenerated, SendRejected
from streams.log import Record
from tests.projections.random_log import THREADS, random_log
from tests.projections.read_model import MINUTE_MS, Log, Projecting, thread_in
from tests.projections.roles import member_of

EXAMPLE = "whatsapp:+14155238886|whatsapp:+5511999990000"
QUERIES = "## Queries for dashboards"
BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)


def blocks() -> tuple[list[str], list[str]]:
    """The statements before the queries, and the queries."""
    before, _, queries = PAGE.read_text(encoding="utf-8").partition(QUERIES)
    return BLOCK.findall(before), BLOCK.findall(queries)


def query(title: str) -> str:
    """The query below this heading."""
    found = BLOCK.search(PAGE.read_text(encoding="utf-8").partition(f"**{title}**")[2])
    assert found, title
    return found[1]


def until_now(records: list[Record]) -> list[Record]:
    """The same log, as if it ended now."""
    shift = round(time.time() * 1000) - records[-1].appended_at_ms
    return [replace(record, appended_at_ms=record.appended_at_ms + shift) for record in records]


def answer(log: Log, thread: str) -> None:
    """Somebody writes, and the AI's answer arrives."""
    first = log.receive(thread, "SM-asked")
    log.add(ReplyGenerated(reply="R-sent", first_event=first, last_event=first, parts=("Olá",)), thread)
    log.start_send(thread, "R-sent", "A-sent")
    log.send(thread, "R-sent", "A-sent", "SM-answer")
    log.status(thread, "SM-answer", "delivered", "A-sent")


@pytest.fixture
async def reader(read_model_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who may read and no more."""
    async with member_of(read_model_url, "prosa_read") as url:
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


async def test_every_table_and_column_has_a_meaning_and_stands_in_the_doc(migrated_url: str) -> None:
    columns = await columns_of(migrated_url)
    page = PAGE.read_text(encoding="utf-8")

    assert [f"{column.table}.{column.name}" for column in columns if not column.meaning or not column.about] == []
    assert written(page, columns) == page, "run: make docs"


@pytest.mark.parametrize("number", range(len(blocks()[1])))
async def test_each_query_of_the_doc_runs_for_who_may_only_read_and_finds_something(
    number: int, database: Database, reader: asyncpg.Connection
) -> None:
    log = random_log(7, steps=600)
    answer(log, thread_in(0, 9))
    await Projecting(database).catch_up(until_now(log.records))

    rows = await reader.fetch(blocks()[1][number].replace(EXAMPLE, THREADS[0]))

    assert rows


async def test_the_users_of_the_doc_can_be_made(read_model_url: str) -> None:
    owner = await asyncpg.connect(read_model_url)
    statements = blocks()[0]
    transaction = owner.transaction()
    await transaction.start()
    for statement in statements:
        await owner.execute(statement)
    assert await owner.fetchval(
        "SELECT pg_has_role('metabase', 'prosa_read', 'USAGE') AND pg_has_role('prosa', 'prosa_app', 'USAGE')"
    )
    await transaction.rollback()
    await owner.close()


async def test_who_is_owed_an_answer(database: Database, reader: asyncpg.Connection) -> None:
    log = Log()
    answered, waiting, taken, told, given_back = (thread_in(0, number) for number in range(5))
    for number, thread in enumerate((answered, waiting, taken, told, given_back)):
        log.wait(MINUTE_MS)
        first = log.receive(thread, f"SM{number}")
        if thread is answered:
            log.add(ReplyGenerated(reply="R1", first_event=first, last_event=first, parts=("Olá",)), thread)
        if thread in {taken, told, given_back}:
            log.add(ConversationTaken(by="Ana"), thread)
    log.add(PersonReplied(reply="R2", parts=("Olá, aqui é a Ana",), by="Ana"), told)
    log.add(ConversationReleased(by="Ana"), given_back)
    await Projecting(database).catch_up(log.records)

    rows = await reader.fetch(query("Unanswered now"))

    assert [(row["thread"], row["owed_by"]) for row in rows] == [(waiting, "ai"), (taken, "Ana")]


async def test_failed_sends_are_counted_by_code(database: Database, reader: asyncpg.Connection) -> None:
    log = Log()
    thread = thread_in(0)
    first = log.add(MessageReceived(sid="SM1", kind="text", body="Olá", form={}), thread)
    log.add(ReplyGenerated(reply="R1", first_event=first, last_event=first, parts=("Olá",)), thread)
    log.start_send(thread, "R1", "A1")
    log.add(SendRejected(reply="R1", part=0, attempt="A1", code=63016), thread)
    log.receive(thread, "SM2")
    await Projecting(database).catch_up(until_now(log.records))

    rows = await reader.fetch(query("Failed sends by code"))

    assert [tuple(row) for row in rows] == [("63016", 1, 0)]
