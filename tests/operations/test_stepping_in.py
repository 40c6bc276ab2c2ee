"""While a person has a conversation the AI is silent, whatever it was doing then: on real servers, from phone to phone."""

from collections.abc import AsyncIterator, Callable

import pytest

from operations.delivery import delivery_of
from operations.intervention import close, release, reply, take
from projections.state import Outcome, PartStatus, ReplyKind, ReplyStatus, ThreadState
from streams.events import Rejection
from tests.handlers.world import eventually
from tests.operations.system import THREAD, System, a_system


@pytest.fixture
async def system(redis_url: str, database_url: str) -> AsyncIterator[System]:
    async with a_system(redis_url, database_url, retry_base_seconds=2, retry_max_seconds=4) as made:
        yield made


def superseded(state: ThreadState) -> bool:
    return any(said.status is ReplyStatus.SUPERSEDED for said in state.replies)


def answer_is(status: PartStatus, outcome: Outcome | None = None) -> Callable[[ThreadState], bool]:
    """Whether the first part of the AI's answer stands so."""

    def holds(state: ThreadState) -> bool:
        parts = [said.parts[0] for said in state.replies if said.kind is ReplyKind.ANSWER]
        return any(part.status is status and part.attempts and part.attempts[-1].outcome is outcome for part in parts)

    return holds


async def says(system: System, text: str) -> None:
    """As the person who has the conversation; it arrives."""
    _, said = await reply(system.connection, await system.conversation(), text, by="ana")
    delivery = await delivery_of(system.connection, THREAD, said, within_seconds=20)
    assert delivery.is_settled
    assert not delivery.has_failed


async def test_an_answer_that_the_model_was_still_working_on_is_never_said(system: System) -> None:
    system.model.gate.clear()
    await system.write("Olá")
    await eventually(lambda: system.model.asked)
    await take(system.connection, await system.conversation(), by="ana")
    system.model.gate.set()
    await system.comes_to(superseded)
    await says(system, "Ana here.")
    assert await system.phone() == ["Ana here."]


async def test_an_answer_that_was_not_begun_is_withdrawn(system: System) -> None:
    """Twilio is too busy for it, and the sender pauses before it tries again."""
    await system.twilio.break_down(create={"429": 1})
    await system.write("Olá")
    await system.comes_to(answer_is(PartStatus.OPEN, Outcome.DISPROVED))
    act = await take(system.connection, await system.conversation(), by="ana")
    assert [said.parts[0].text for said in act.withdrawn] == [system.model.text]
    await says(system, "Ana here.")
    assert await system.phone() == ["Ana here."]


async def test_of_an_answer_that_is_being_sent_nothing_follows_the_part_in_flight(system: System) -> None:
    """Twilio takes the first part and does not answer: it is found out that it went out, and the second part is not sent."""
    first, second = "a" * 1000, "b" * 1000
    system.model.text = f"{first}\n\n{second}"
    await system.twilio.break_down(create={"hang_after": 1})
    await system.write("Olá")
    await system.comes_to(answer_is(PartStatus.STARTED))
    act = await take(system.connection, await system.conversation(), by="ana")
    assert [len(said.parts) for said in act.in_flight] == [2]
    await says(system, "Ana here.")
    assert await system.phone() == [first, "Ana here."]


async def test_the_ai_stays_silent_until_the_conversation_is_given_back(system: System) -> None:
    await system.write("Olá")
    await system.has_received(system.model.text)
    conversation = await system.conversation()
    await take(system.connection, conversation, by="ana")
    asked = system.model.asked
    await system.write("Is anybody there?")
    await system.comes_to(lambda state: state.unanswered)
    await says(system, "Ana here.")
    await system.write("Thank you")
    await system.comes_to(lambda state: state.unanswered)
    await release(system.connection, conversation, by="ana")
    assert system.model.asked == asked
    await system.write("And now?")
    await system.has_received(system.model.text, "Ana here.", system.model.text)
    assert system.model.asked == asked + 1


async def test_after_a_close_the_answer_to_it_is_not_said_and_the_next_message_is_answered(system: System) -> None:
    system.model.gate.clear()
    await system.write("Olá")
    await eventually(lambda: system.model.asked)
    closed = await system.conversation()
    await close(system.connection, closed, by="ana")
    system.model.gate.set()
    await system.comes_to(superseded)
    system.model.text = "A new day."
    await system.write("Me again")
    await system.has_received("A new day.")
    assert (await system.conversation()).previous_conversation_id == closed.id


async def test_a_refusal_by_twilio_is_told_with_its_code_and_its_meaning(system: System) -> None:
    await system.write("Olá")
    await system.has_received(system.model.text)
    await system.twilio.break_down(create={"reject": {"code": 21610}})
    _, said = await reply(system.connection, await system.conversation(), "Ana here.", by="ana")
    delivery = await delivery_of(system.connection, THREAD, said, within_seconds=20)
    assert (delivery.has_failed, delivery.rejection, delivery.code) == (True, Rejection.OPTED_OUT, 21610)
