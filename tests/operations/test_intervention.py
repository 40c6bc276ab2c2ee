"""A person steps in: what was decided on, what was written, and what came of it."""

from collections.abc import Awaitable, Callable

import pytest

from operations.connection import Connection
from operations.conversations import Listed, listed, named
from operations.errors import ActLapsed, ActRefused, NotFoldedYet
from operations.intervention import close, release, reply, take
from projections.reader import View
from projections.state import ReplyKind, ReplyStatus, Status
from streams.events import ConversationClosed, ConversationTaken, PersonReplied, SendStarted
from streams.log import Appended
from tests.handlers.world import MINUTE_MS, World, thread_of

THREAD = thread_of(0)


@pytest.fixture
async def asked(world: World, connection: Connection) -> Listed:
    """A conversation in which the contact has written."""
    await world.write(THREAD)
    await world.state(THREAD)
    [found] = await listed(connection)
    return found


async def head(world: World) -> object:
    return await world.log.heads()


async def test_who_takes_over_has_the_conversation(world: World, connection: Connection, asked: Listed) -> None:
    act = await take(connection, asked, by="ana")
    assert (act.conversation.status, act.conversation.taken_by) == (Status.HANDOFF, "ana")
    assert act.changes[:2] == ("status pending → handoff", "taken by ana")
    state = await world.state(THREAD)
    assert not state.ai_may_answer


async def test_a_reply_that_was_not_begun_is_withdrawn_and_named(world: World, connection: Connection) -> None:
    await world.answered(THREAD, "Hello.")
    await world.state(THREAD)
    act = await take(connection, await named(connection, THREAD), by="ana")
    assert [(said.id, said.status) for said in act.withdrawn] == [("r1", ReplyStatus.WITHDRAWN)]
    assert act.in_flight == ()


async def test_a_part_that_is_with_twilio_is_told_to_be_so(world: World, connection: Connection) -> None:
    await world.answered(THREAD, "Hello.", "More.")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), THREAD)
    await world.state(THREAD)
    act = await close(connection, await named(connection, THREAD), by="ana")
    assert act.withdrawn == ()
    assert [said.id for said in act.in_flight] == ["r1"]
    assert "part 2 cancelled" in act.changes


async def test_who_answers_beside_the_ai_stops_nothing_of_it(world: World, connection: Connection) -> None:
    await world.answered(THREAD, "Hello.")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), THREAD)
    await world.state(THREAD)
    act, _ = await reply(connection, await named(connection, THREAD), "Ana here.", by="ana")
    assert (act.withdrawn, act.in_flight) == ((), ())


async def test_who_gives_back_has_answered_what_came_before(world: World, connection: Connection, asked: Listed) -> None:
    await take(connection, asked, by="ana")
    act = await release(connection, asked, by="ana")
    assert act.conversation.status is Status.ACTIVE
    assert "nothing unanswered" in act.changes


async def test_who_closes_leaves_nothing_waiting(world: World, connection: Connection, asked: Listed) -> None:
    act = await close(connection, asked, by="ana")
    assert (act.conversation.status, act.conversation.closed_by) == (Status.CLOSED, "person")
    assert (await world.state(THREAD)).unanswered == ()


async def test_a_persons_words_become_a_reply_in_parts(world: World, connection: Connection, asked: Listed) -> None:
    _, said = await reply(connection, asked, f"{'a' * 1500}\n\n{'b' * 1500}", by="ana")
    found = await world.reply(THREAD, said)
    assert (found.kind, found.by, [len(part.text) for part in found.parts]) == (ReplyKind.PERSON, "ana", [1500, 1500])
    assert (await world.state(THREAD)).unanswered == ()


@pytest.mark.parametrize("text", ["", " \n ", "\x07", "x" * 16_001])
async def test_nothing_and_too_much_cannot_be_said(world: World, connection: Connection, asked: Listed, text: str) -> None:
    before = await head(world)
    with pytest.raises(ActRefused, match=r"nothing to say|too long"):
        await reply(connection, asked, text, by="ana")
    assert await head(world) == before


async def test_what_cannot_be_done_is_not_written(world: World, connection: Connection, asked: Listed) -> None:
    with pytest.raises(ActRefused, match="nobody has taken"):
        await release(connection, asked, by="ana")
    await close(connection, asked, by="ana")
    before = await head(world)
    for act in (take, release, close):
        with pytest.raises(ActRefused, match="was closed by the person"):
            await act(connection, asked, by="ana")
    with pytest.raises(ActRefused, match="was closed by the person"):
        await reply(connection, asked, "Hello?", by="ana")
    assert await head(world) == before


async def test_nothing_is_said_after_the_window(world: World, connection: Connection, asked: Listed) -> None:
    world.clock.ahead_ms = 25 * 60 * MINUTE_MS
    await world.append(ConversationTaken(by="ana"), THREAD)
    await world.state(THREAD)
    with pytest.raises(ActRefused, match="24 hours"):
        await reply(connection, asked, "Hello?", by="ana")
    assert await world.facts(THREAD, PersonReplied.name) == []


def between_look_and_append(connection: Connection, happens: Callable[[], Awaitable[object]]) -> None:
    append = connection.append

    async def after_it(*given: object, **more: object) -> object:
        await happens()
        return await append(*given, **more)  # type: ignore[arg-type]

    connection.append = after_it  # type: ignore[method-assign, assignment]


async def test_an_act_that_comes_too_late_says_so(world: World, connection: Connection, asked: Listed) -> None:
    """Somebody closes between the look and the append."""
    between_look_and_append(connection, lambda: world.append(ConversationClosed(by="bia"), THREAD))
    with pytest.raises(ActLapsed, match="it was too late"):
        await take(connection, asked, by="ana")


async def _say(connection: Connection, conversation: Listed, *, by: str) -> None:
    await reply(connection, conversation, "Hello?", by=by)


async def test_an_answer_that_counted_is_no_failure_where_somebody_closes_right_after(
    world: World, connection: Connection, asked: Listed
) -> None:
    """As Twilio does, in effect, where it refuses the answer at once."""
    folded = connection.folded

    async def and_then_it_is_closed(*appended: Appended) -> None:
        await folded(*appended)
        await folded((await world.append(ConversationClosed(by="bia"), THREAD)).at)

    connection.folded = and_then_it_is_closed  # type: ignore[method-assign]
    act, said = await reply(connection, asked, "Ana here.", by="ana")
    state = await world.state(THREAD)
    assert (act.conversation.status, state.reply(said) is not None) == (Status.CLOSED, True)


@pytest.mark.parametrize("act", [take, release, close, _say])
async def test_an_act_leaves_the_conversation_alone_that_began_meanwhile(
    world: World, connection: Connection, asked: Listed, act: Callable[..., Awaitable[object]]
) -> None:
    """It ends between the look and the append, and the contact writes again."""
    if act is release:
        await world.append(ConversationTaken(by="ana"), THREAD)
        await world.state(THREAD)

    async def another_begins() -> None:
        await world.append(ConversationClosed(by="bia"), THREAD)
        await world.write(THREAD, "Again")

    between_look_and_append(connection, another_begins)
    with pytest.raises(ActLapsed, match=f"{asked.id} is over, and .* has begun since"):
        await act(connection, asked, by="ana")
    state = await world.state(THREAD)
    assert state.conversation is not None
    assert (state.conversation.id != asked.id, state.conversation.status) == (True, Status.PENDING)
    assert (len(state.unanswered), state.replies) == (1, ())


async def test_what_stands_in_the_log_is_never_told_to_be_refused(world: World, connection: Connection, asked: Listed) -> None:
    """The read model is made anew between the fold and the look."""

    async def made_anew() -> None:
        connection.look = _nothing_there  # type: ignore[method-assign]

    between_look_and_append(connection, made_anew)
    with pytest.raises(NotFoldedYet, match="stands in the log and will count"):
        await take(connection, asked, by="ana")
    assert len(await world.facts(THREAD, ConversationTaken.name)) == 1


async def _nothing_there(thread: str) -> View:
    return View(None, 0, 0, 0)


async def test_an_act_that_nobody_folds_stands_in_the_log_and_says_so(world: World, asked: Listed) -> None:
    for partition in range(world.log.partitions):
        await world.ownership.lose(partition)
    with pytest.raises(NotFoldedYet, match="stands in the log and will count"):
        await take(Connection(world.log, world.database, fold_seconds=0.1), asked, by="ana")
    assert await world.facts(THREAD, ConversationTaken.name) == [ConversationTaken(by="ana", conversation=asked.id)]
