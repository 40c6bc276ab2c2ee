"""The responder on the real projector: every message is answered, once, with what the contact said in front of the model."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from handlers.breaker import FAILURES_IN_A_ROW, Breaker
from handlers.model import Answer, ModelFailed, ModelRefused
from handlers.respond import WITNESSED_TURNS, GroupPaused, Responder
from handlers.turn import TurnLimits
from projections.changes import RESPONDER
from projections.state import ReplyKind, ReplyStatus, Status
from streams.events import (
    ConversationClosed,
    ConversationReleased,
    ConversationTaken,
    MessageSent,
    PersonReplied,
    RedriveRequested,
    ReplyGenerated,
    SendStarted,
)
from tests.handlers.world import QUICK, SENTENCE, Model, World, Written, eventually, thread_of

ANA = thread_of(1)
FAILS = ModelRefused("by hand", "http_400")
"""For a turn that fails at once."""


async def respond(responder: Responder, *written: Written) -> None:
    """As the group does: one after the other."""
    for each in written:
        await responder.respond(each.delivered_to(RESPONDER))


async def at_once(*work: Awaitable[Any]) -> None:
    await asyncio.gather(*work)


async def answers(world: World, thread: str = ANA) -> list[tuple[str, str]]:
    return [(reply.status.value, reply.parts[0].text) for reply in await world.replies(thread)]


async def test_a_message_is_answered_once(world: World) -> None:
    model = Model()
    written = await world.write(ANA, "Oi")
    responder = world.responder(model)
    await respond(responder, written, written)
    await respond(world.responder(model), written)
    assert await answers(world) == [("accepted", "answer 1")]
    assert [question.unanswered for question in model.questions] == [("Oi",)]


async def test_ten_duplicates_at_once_are_one_message_one_reply_and_one_model_call(world: World) -> None:
    model = Model()
    duplicates = [await world.write(ANA, "Oi", sid="SM1") for _ in range(10)]
    responder = world.responder(model)
    await at_once(*(respond(responder, each) for each in duplicates))
    assert await answers(world) == [("accepted", "answer 1")]
    assert len(model.questions) == 1
    assert len(await world.history(ANA)) == 1


async def test_a_repeated_sid_costs_no_model_call_even_later(world: World) -> None:
    model = Model()
    responder = world.responder(model)
    await respond(responder, await world.write(ANA, "Oi", sid="SM1"))
    await respond(responder, await world.write(ANA, "Oi", sid="SM1"))
    assert len(model.questions) == 1


async def test_three_messages_within_the_quiet_window_get_one_answer_to_all(world: World) -> None:
    model = Model()
    responder = world.responder(model, quiet_seconds=0.3)
    written = [await world.write(ANA, "Oi")]
    answering = asyncio.create_task(respond(responder, written[0]))
    for body in ("tudo bem?", "uma pergunta"):
        for _ in range(5):
            await world.view(ANA)
        written.append(await world.write(ANA, body))
    await answering
    await respond(responder, *written)
    assert [question.unanswered for question in model.questions] == [("Oi", "tudo bem?", "uma pergunta")]
    assert await answers(world) == [("accepted", "answer 1")]


async def test_a_contact_who_never_pauses_is_answered_all_the_same(world: World) -> None:
    model = Model()
    responder = world.responder(model, quiet_seconds=0.001)
    look = responder._journal.look

    async def look_after_more(*place: Any) -> Any:
        if not model.is_asked.is_set():
            await world.write(ANA, "e mais")
            await world.view(ANA)
        return await look(*place)

    responder._journal.look = look_after_more  # type: ignore[method-assign, assignment]
    await asyncio.wait_for(respond(responder, await world.write(ANA)), 10)
    assert any(status == "accepted" for status, _ in await answers(world))


async def test_the_prompt_ends_with_what_waits(world: World) -> None:
    model = Model()
    responder = world.responder(model)
    await respond(responder, await world.write(ANA, "Oi"))
    await respond(responder, await world.write(ANA, "E amanhã?"))
    question = model.questions[1]
    assert [(turn.role, turn.text) for turn in question.history] == [("contact", "Oi"), ("assistant", "answer 1")]
    assert question.unanswered == ("E amanhã?",)


async def test_what_a_person_said_is_shown_as_a_persons(world: World) -> None:
    model = Model()
    await world.write(ANA, "Oi")
    await world.append(ConversationTaken(by="ana"), ANA)
    await world.append(PersonReplied(reply="p1", parts=("Bom dia, sou a Ana.",), by="ana"), ANA)
    await world.append(SendStarted(reply="p1", part=0, attempt="a1"), ANA)
    await world.append(MessageSent(reply="p1", part=0, attempt="a1", sid="SM7"), ANA)
    await world.append(ConversationReleased(by="ana"), ANA)
    await respond(world.responder(model), await world.write(ANA, "E agora?"))
    assert [(turn.role, turn.text) for turn in model.questions[0].history] == [
        ("contact", "Oi"),
        ("person", "Bom dia, sou a Ana."),
    ]


async def test_newer_inbound_during_generation_makes_it_generate_again(world: World) -> None:
    model = Model()
    model.gate.clear()
    responder = world.responder(model)
    first = await world.write(ANA, "Oi")
    answering = asyncio.create_task(respond(responder, first))
    await model.is_asked.wait()
    second = await world.write(ANA, "quer dizer, tchau não!")
    await world.view(ANA)
    model.gate.set()
    await answering
    assert await answers(world) == [("superseded", "answer 1"), ("accepted", "answer 2")]
    assert model.questions[1].unanswered == ("Oi", "quer dizer, tchau não!")
    await respond(responder, second)
    assert len(model.questions) == 2


async def test_the_third_answer_is_final(world: World) -> None:
    async def interrupted() -> str:
        await world.write(ANA, "e mais")
        await world.view(ANA)
        return "too late"

    model = Model([interrupted, interrupted, interrupted])
    await respond(world.responder(model), await world.write(ANA, "Oi"))
    assert [status for status, _ in await answers(world)] == ["superseded", "superseded", "accepted"]
    generated = await world.facts(ANA, "reply.generated")
    assert [fact.final for fact in generated if isinstance(fact, ReplyGenerated)] == [False, False, True]
    assert len((await world.state(ANA)).unanswered) == 1


async def test_the_ai_is_silent_while_a_person_answers(world: World) -> None:
    model = Model()
    await world.write(ANA)
    await world.append(ConversationTaken(by="ana"), ANA)
    await respond(world.responder(model), await world.write(ANA, "Alô?"))
    assert model.questions == []


@pytest.mark.parametrize("end", [ConversationTaken(by="ana"), ConversationClosed(by="ana"), "tchau"])
async def test_what_ends_or_takes_a_conversation_while_the_model_works_makes_its_answer_unsaid(world: World, end: Any) -> None:
    model = Model()
    model.gate.clear()
    await world.policy(world.journal().partition_of(ANA), close_words=("tchau",))
    answering = asyncio.create_task(respond(world.responder(model), await world.write(ANA)))
    await model.is_asked.wait()
    await (world.write(ANA, end) if isinstance(end, str) else world.append(end, ANA))
    model.gate.set()
    await answering
    assert await answers(world) == [("superseded", "answer 1")]
    assert len(model.questions) == 1


async def test_two_responders_give_one_reply(world: World) -> None:
    slow, other = Model(["slow"]), Model(["other"])
    slow.gate.clear()
    written = await world.write(ANA)
    paused = asyncio.create_task(respond(world.responder(slow), written))
    await slow.is_asked.wait()
    await respond(world.responder(other), written)
    slow.gate.set()
    await paused
    assert await answers(world) == [("accepted", "other"), ("superseded", "slow")]


async def test_threads_do_not_wait_for_each_other(world: World) -> None:
    held, quick = Model(), Model()
    held.gate.clear()
    holding = asyncio.create_task(respond(world.responder(held), await world.write(ANA)))
    await held.is_asked.wait()
    await respond(world.responder(quick), await world.write(thread_of(2)))
    assert not holding.done()
    held.gate.set()
    await holding


async def test_an_answer_may_close_or_hand_off_and_is_split_and_counted(world: World) -> None:
    model = Model([Answer("a" * 1600 + "\n\nbye", closes=True, hands_off=False, model="m", input_tokens=7, output_tokens=8)])
    await respond(world.responder(model), await world.write(ANA))
    (fact,) = await world.facts(ANA, "reply.generated")
    assert isinstance(fact, ReplyGenerated)
    assert [len(part) for part in fact.parts] == [1600, 3]
    assert (fact.closes, fact.hands_off, fact.model, fact.input_tokens, fact.output_tokens) == (True, False, "m", 7, 8)


# --------------------------------------------------------------------------------------------------- when it fails


async def never() -> str:
    await asyncio.Event().wait()
    return ""


HANGS = TurnLimits(QUICK, request_timeout_seconds=0.02, turn_timeout_seconds=0.2)


class Witnessed(Breaker):
    """Whenever a try begins, others have just been answered."""

    def __init__(self) -> None:
        super().__init__(RESPONDER, pause_seconds=0.02)

    def begin(self) -> int:
        self.succeeded("a neighbour")
        return super().begin()


UNANSWERABLE = [FAILS, ModelFailed("by hand", "invalid_answer"), ModelRefused("by hand", "content_filter"), "", "\x00 \r\n"]
SILENT = [ModelFailed("by hand", "http_500"), ModelFailed("by hand", "timeout"), ModelFailed("by hand", "connection"), never]


async def until_done(responder: Responder, *written: Written) -> int:
    """As the group does, which tries again whatever passes; how often it had to."""
    for tries in count():
        with suppress(GroupPaused):
            await respond(responder, *written)
            return tries
    raise AssertionError


@pytest.mark.parametrize("failure", SILENT)
async def test_a_message_at_which_models_fall_silent_while_others_are_answered_is_a_dead_letter(
    world: World, failure: Any
) -> None:
    responder = world.responder(Model([failure] * 1000), limits=HANGS, breaker=Witnessed())
    written = await world.write(ANA, "Oi")
    assert await asyncio.wait_for(until_done(responder, written), 10) == WITNESSED_TURNS
    (letter,) = await world.rows("SELECT event_id, status FROM dead_letters")
    assert letter == {"event_id": written.event.id, "status": "open"}
    assert [reply.kind for reply in await world.replies(ANA)] == [ReplyKind.FAILURE_SENTENCE]


@pytest.mark.parametrize("code", ["http_401", "http_403", "http_404", "http_429", "quota"])
async def test_what_speaks_of_our_account_is_no_messages_fault_even_while_others_are_answered(world: World, code: str) -> None:
    model = Model([ModelRefused("by hand", code)] * 5)
    await until_done(world.responder(model, breaker=Witnessed()), await world.write(ANA, "Oi"))
    assert await world.rows("SELECT 1 FROM dead_letters") == []
    assert [reply.kind for reply in await world.replies(ANA)] == [ReplyKind.FAILURE_SENTENCE, ReplyKind.ANSWER]


@pytest.mark.parametrize("failure", UNANSWERABLE)
async def test_a_model_that_has_no_answer_to_it_ends_in_dead_letters_and_one_sentence(world: World, failure: Any) -> None:
    model = Model([failure] * 1000)
    responder = world.responder(model, limits=HANGS)
    first, second = await world.write(ANA, "Oi"), await world.write(ANA, "Alô?")
    await respond(responder, first, second)
    (reply,) = await world.replies(ANA)
    assert (reply.kind, reply.status, reply.parts[0].text) == (ReplyKind.FAILURE_SENTENCE, ReplyStatus.ACCEPTED, SENTENCE)
    letters = await world.rows("SELECT event_id, consumer_group, status FROM dead_letters ORDER BY event_id")
    assert letters == [
        {"event_id": each.event.id, "consumer_group": RESPONDER, "status": "open"} for each in sorted_by_id(first, second)
    ]


def sorted_by_id(*written: Written) -> list[Written]:
    return sorted(written, key=lambda each: each.event.id)


async def test_the_fallback_answers_when_the_model_fails(world: World) -> None:
    await respond(world.responder(Model([FAILS] * 9), Model(["fallback"])), await world.write(ANA))
    assert await answers(world) == [("accepted", "fallback")]


async def test_the_failure_sentence_is_said_once_though_the_event_comes_again(world: World) -> None:
    written = await world.write(ANA)
    failing = Model([FAILS] * 99)
    await respond(world.responder(failing), written, written)
    await respond(world.responder(failing), written)
    assert len(await world.facts(ANA, "reply.failed")) == 1
    assert len(await world.replies(ANA)) == 1


async def test_two_responders_that_both_fail_say_one_sentence(world: World) -> None:
    written = await world.write(ANA)
    models = Model([FAILS] * 9), Model([FAILS] * 9)
    for model in models:
        model.gate.clear()
    failing = [asyncio.create_task(respond(world.responder(model), written)) for model in models]
    for model in models:
        await model.is_asked.wait()
        model.gate.set()
    await asyncio.gather(*failing)
    assert len(await world.facts(ANA, "reply.failed")) == 2
    assert [reply.kind for reply in await world.replies(ANA)] == [ReplyKind.FAILURE_SENTENCE]


async def test_without_a_sentence_the_contact_hears_nothing(world: World) -> None:
    await respond(world.responder(Model([FAILS] * 9), failure_sentence=None), await world.write(ANA))
    assert await world.replies(ANA) == ()


async def test_a_redriven_message_is_answered(world: World) -> None:
    model = Model([FAILS])
    responder = world.responder(model)
    written = await world.write(ANA, "Oi")
    await respond(responder, written)
    await respond(responder, await world.append(RedriveRequested(event=written.event.id, group=RESPONDER, by="ana"), ANA))
    assert (await answers(world))[-1][0] == "accepted"
    assert model.questions[-1].unanswered == ("Oi",)
    assert await world.rows("SELECT status FROM dead_letters") == [{"status": "redriven"}]


async def test_a_redrive_after_the_end_answers_in_a_linked_conversation(world: World) -> None:
    model = Model([FAILS])
    responder = world.responder(model)
    written = await world.write(ANA, "Oi")
    await respond(responder, written)
    await world.append(ConversationClosed(by="ana"), ANA)
    await respond(responder, await world.append(RedriveRequested(event=written.event.id, group=RESPONDER, by="ana"), ANA))
    state = await world.state(ANA)
    assert state.conversation is not None
    assert state.conversation.previous_conversation_id == written.event.id
    assert state.replies[-1].conversation_id == state.conversation.id
    assert model.questions[-1].unanswered == ("Oi",)


async def test_a_redrive_of_another_group_is_none_of_its_business(world: World) -> None:
    model = Model()
    written = await world.write(ANA)
    await respond(
        world.responder(model), await world.append(RedriveRequested(event=written.event.id, group="sender", by="a"), ANA)
    )
    assert model.questions == []


async def test_when_models_refuse_everything_the_group_waits_and_nothing_more_is_given_up(world: World) -> None:
    """A refusal speaks of its message; that of every message does not."""
    failing = Model([FAILS] * 10_000)
    breaker = Breaker(RESPONDER, pause_seconds=0.02)
    responder = world.responder(failing, breaker=breaker, quiet_seconds=0.0)
    written = [await world.write(thread_of(number)) for number in range(100, 100 + FAILURES_IN_A_ROW + 5)]
    paused = []
    for each in written:
        try:
            await respond(responder, each)
        except GroupPaused:
            paused.append(each)
    assert len(paused) == 6
    assert len(await world.rows("SELECT 1 FROM dead_letters")) == FAILURES_IN_A_ROW - 1
    failing.script.clear()
    await at_once(*(respond(responder, each) for each in paused))
    assert not breaker.is_open
    for each in paused:
        assert (await world.replies(each.event.subject))[-1].kind is ReplyKind.ANSWER


async def test_who_waited_for_the_breaker_looks_again(world: World) -> None:
    breaker, model = Breaker(RESPONDER, pause_seconds=0.2), Model()
    breaker.trip("test")
    waiting = asyncio.create_task(respond(world.responder(model, breaker=breaker), await world.write(ANA)))
    await eventually(breaker._probes.locked)
    await world.append(ConversationTaken(by="ana"), ANA)
    await waiting
    assert model.questions == []


# ------------------------------------------------------------------------------------------------------ overlooked


async def tick(world: World, responder: Responder, thread: str = ANA) -> None:
    await respond(responder, await world.tick(world.journal().partition_of(thread)))


async def test_a_tick_finds_what_waited_in_a_handoff_that_ran_out(world: World) -> None:
    model = Model()
    responder = world.responder(model)
    await respond(responder, await world.write(ANA, "Oi"))
    await world.append(ConversationTaken(by="ana"), ANA)
    await respond(responder, await world.write(ANA, "Alô?"))
    world.clock.ahead_ms += 13 * 3_600_000
    await tick(world, responder)
    assert model.questions[-1].unanswered == ("Oi", "Alô?")
    assert (await answers(world))[-1] == ("accepted", "answer 2")


async def test_a_tick_finds_what_a_withdrawn_reply_left(world: World) -> None:
    model = Model()
    responder = world.responder(model)
    await respond(responder, await world.write(ANA, "Oi"))
    await world.append(ConversationTaken(by="ana"), ANA)
    assert await answers(world) == [("withdrawn", "answer 1")]
    world.clock.ahead_ms += 13 * 3_600_000
    await tick(world, responder)
    assert await answers(world) == [("withdrawn", "answer 1"), ("accepted", "answer 2")]


async def test_a_tick_leaves_alone_what_has_not_waited_long(world: World) -> None:
    model = Model()
    responder = world.responder(model, overlooked_after_ms=60_000)
    await world.write(ANA)
    await tick(world, responder)
    assert model.questions == []
    world.clock.ahead_ms += 60_001
    await tick(world, responder)
    assert len(model.questions) == 1


async def test_a_tick_leaves_alone_what_is_in_work(world: World) -> None:
    model = Model()
    model.gate.clear()
    responder = world.responder(model)
    answering = asyncio.create_task(respond(responder, await world.write(ANA)))
    await model.is_asked.wait()
    await tick(world, responder)
    assert len(model.questions) == 1
    model.gate.set()
    await answering
    assert await answers(world) == [("accepted", "answer 1")]


async def test_one_thread_that_fails_does_not_keep_a_tick_from_the_others(world: World) -> None:
    class Picky(Model):
        async def generate(self, question: Any) -> Answer:
            if question.unanswered == ("poison",):
                raise ValueError("poison")
            return await super().generate(question)

    partition = 1
    poisoned, healthy = thread_of(1, partition), thread_of(2, partition)
    await world.write(poisoned, "poison")
    await world.write(healthy)
    await respond(world.responder(Picky()), await world.tick(partition))
    assert [reply.status for reply in await world.replies(healthy)] == [ReplyStatus.ACCEPTED]


async def test_what_follows_from_a_tick_belongs_to_the_threads_owner(world: World) -> None:
    written = await world.write(ANA)
    tick_ = await world.tick(written.at.partition)
    tick_of_nobody = Written(tick_.event.model_copy(update={"owner": "nobody"}), tick_.at, tick_.record)
    await respond(world.responder(Model()), tick_of_nobody)
    await world.view(ANA)
    (row,) = await world.rows("SELECT owner FROM events WHERE type LIKE 'prosa.reply.generated%'")
    assert row == {"owner": "default"}


# ---------------------------------------------------------------------------------------------------------- typing


async def test_typing_is_shown_below_the_newest_message_while_the_model_works(world: World) -> None:
    shown: list[str] = []

    async def show(sid: str) -> None:
        shown.append(sid)

    model = Model()
    model.gate.clear()
    await world.write(ANA, sid="SM1")
    second = await world.write(ANA, sid="SM2")
    answering = asyncio.create_task(respond(world.responder(model, show_typing=show), second))
    await eventually(lambda: shown)
    assert not answering.done()
    model.gate.set()
    await answering
    assert shown == ["SM2"]


async def test_typing_is_not_shown_to_who_gets_no_answer(world: World) -> None:
    shown: list[str] = []

    async def show(sid: str) -> None:
        shown.append(sid)

    async def unhurried() -> str:
        await eventually(lambda: shown)
        return "answer"

    responder = world.responder(Model([unhurried] * 9), show_typing=show)
    first = await world.write(ANA, sid="SM1")
    await respond(responder, first)
    await respond(responder, first, await world.write(ANA, sid="SM1"))
    await world.append(ConversationTaken(by="ana"), ANA)
    await respond(responder, await world.write(ANA))
    assert shown == ["SM1"]


async def test_a_typing_indicator_that_fails_or_hangs_does_not_matter(world: World) -> None:
    async def fail(_: str) -> None:
        raise OSError("no typing today")

    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    for number, show in enumerate((fail, hang)):
        thread = thread_of(number)
        await respond(world.responder(Model(), show_typing=show), await world.write(thread))
        assert await answers(world, thread) == [("accepted", "answer 1")]


async def test_a_conversation_stays_pending_until_the_answer_is_sent(world: World) -> None:
    await respond(world.responder(Model()), await world.write(ANA))
    state = await world.state(ANA)
    assert state.conversation is not None
    assert state.conversation.status is Status.PENDING


# ------------------------------------------------------------------------------------------------------- a closed window


async def test_what_is_too_late_to_be_sent_costs_no_call_of_a_model_and_is_a_dead_letter(world: World) -> None:
    model = Model()
    written = await world.write(ANA)
    world.clock.ahead_ms += 24 * 3_600_000
    await world.tick(written.at.partition)
    await respond(world.responder(model), written)
    assert model.questions == []
    state = await world.state(ANA)
    assert [(letter.group, letter.error) for letter in state.dead_letters] == [(RESPONDER, "window_closed")]
    assert (state.unanswered, state.replies) == ((), ())


async def test_once_the_contact_writes_again_what_was_too_late_is_answered_if_it_is_sent_round_again(world: World) -> None:
    model = Model()
    responder = world.responder(model)
    late = await world.write(ANA, "late")
    world.clock.ahead_ms += 25 * 3_600_000
    await world.tick(late.at.partition)
    await respond(responder, late)
    await respond(responder, await world.write(ANA, "again"))
    await respond(responder, await world.append(RedriveRequested(event=late.event.id, group=RESPONDER, by="ana"), ANA))
    assert len(model.questions) == 2
    assert (await world.state(ANA)).unanswered == ()


async def test_a_message_that_comes_while_one_waits_opens_the_window_for_both(world: World) -> None:
    model = Model()
    first = await world.write(ANA, "first")
    world.clock.ahead_ms += 25 * 3_600_000
    await world.write(ANA, "second")
    await respond(world.responder(model), first)
    assert len(model.questions) == 1
    assert (await world.state(ANA)).dead_letters == ()
