"""What came of one message: the replies to it and no others, or why there are none."""

from operations.answers import Answers, answers_to
from streams.events import (
    ConversationClosed,
    ConversationTaken,
    MessageSent,
    PersonReplied,
    PolicyChanged,
    ReplyFailed,
    ReplyGenerated,
    SendRejected,
    SendStarted,
)
from streams.partitions import partition_of_subject, partition_subject
from tests.handlers.world import PARTITIONS, World, Written, thread_of

ANA = thread_of(1)
MESSAGE, EARLIER, REPLY, ANOTHER = (f"SM{letter * 32}" for letter in "abcd")


async def generated(world: World, written: Written, reply: str, *parts: str) -> None:
    event = written.event.id
    await world.append(ReplyGenerated(reply=reply, first_event=event, last_event=event, parts=parts or ("Hi.",), final=True), ANA)


async def sent(world: World, reply: str, sid: str, part: int = 0) -> None:
    attempt = f"{reply}-{part}"
    await world.append(SendStarted(reply=reply, part=part, attempt=attempt), ANA)
    await world.append(MessageSent(reply=reply, part=part, attempt=attempt, sid=sid), ANA)


async def came_of(world: World, sid: str = MESSAGE) -> Answers:
    await world.view(ANA)
    return await answers_to(world.database, sid)


async def test_nothing_came_yet_of_a_message_that_nobody_knows_or_answered(world: World) -> None:
    assert await answers_to(world.database, MESSAGE) == Answers(frozenset())
    await world.write(ANA, sid=MESSAGE)
    assert await came_of(world) == Answers(frozenset())


async def test_a_reply_counts_part_by_part_and_is_settled_with_its_last_one(world: World) -> None:
    await generated(world, await world.write(ANA, sid=MESSAGE), "r1", "one", "two")
    assert await came_of(world) == Answers(frozenset())
    await sent(world, "r1", REPLY)
    assert await came_of(world) == Answers(frozenset({REPLY}))
    await sent(world, "r1", ANOTHER, part=1)
    assert await came_of(world) == Answers(frozenset({REPLY, ANOTHER}), is_settled=True)


async def test_a_late_reply_to_an_earlier_message_is_none_to_this_one(world: World) -> None:
    await generated(world, await world.write(ANA, sid=EARLIER), "r1")
    written = await world.write(ANA, sid=MESSAGE)
    await sent(world, "r1", ANOTHER)
    assert await came_of(world) == Answers(frozenset())
    await generated(world, written, "r2")
    await sent(world, "r2", REPLY)
    assert await came_of(world) == Answers(frozenset({REPLY}), is_settled=True)
    assert await came_of(world, EARLIER) == Answers(frozenset({ANOTHER}), is_settled=True)


async def test_in_handoff_the_silence_names_who_took_it_and_a_persons_reply_counts(world: World) -> None:
    await world.write(ANA, sid=EARLIER)
    await world.append(ConversationTaken(by="ana"), ANA)
    await world.write(ANA, sid=MESSAGE)
    answers = await came_of(world)
    assert (answers.silence, answers.is_settled) == ("a person has taken this conversation over (ana)", True)
    await world.append(PersonReplied(reply="r1", parts=("Hello.",), by="ana"), ANA)
    await sent(world, "r1", REPLY)
    assert await came_of(world) == Answers(frozenset({REPLY}), is_settled=True)


async def test_a_close_word_is_not_answered(world: World) -> None:
    await world.append(PolicyChanged(close_words=("bye",)), partition_subject(partition_of_subject(ANA, PARTITIONS)))
    await world.write(ANA, "bye", sid=MESSAGE)
    answers = await came_of(world)
    assert answers.is_settled
    assert answers.silence is not None
    assert answers.silence.startswith("this word closes a conversation")


async def test_what_a_person_closed_is_not_answered(world: World) -> None:
    await world.write(ANA, sid=MESSAGE)
    await world.append(ConversationClosed(by="ana"), ANA)
    assert (await came_of(world)).silence == "a person has closed this conversation; the next message opens a new one"


async def test_where_no_model_could_answer_the_sentence_counts_and_the_reason_is_told(world: World) -> None:
    event = (await world.write(ANA, sid=MESSAGE)).event.id
    failed = ReplyFailed(
        reply="r1", first_event=event, last_event=event, error="ModelTimeout", attempts=3, fingerprint="f", sentence="Sorry."
    )
    await world.append(failed, ANA)
    assert not (await came_of(world)).is_settled
    await sent(world, "r1", REPLY)
    answers = await came_of(world)
    assert (answers.sids, answers.is_settled, answers.silence) == (frozenset({REPLY}), True, None)
    assert answers.failure == "no model could answer (ModelTimeout); see: prosa dead-letters list"


async def test_a_reply_that_could_not_be_sent_is_told(world: World) -> None:
    await generated(world, await world.write(ANA, sid=MESSAGE), "r1")
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    await world.append(SendRejected(reply="r1", part=0, attempt="a1", code=63024), ANA)
    answers = await came_of(world)
    assert (answers.is_settled, answers.failure) == (True, "the reply could not be sent; see: prosa sends list")
