"""What the model is shown."""

from handlers.model import Turn
from handlers.question import newest_sid, question_of
from projections.reader import Line
from tests.projections.scenario import History, delivered_to_twilio, generated, given, person_replied, received, started, taken


def line(event: str, body: str, *, by: str = "contact") -> Line:
    return Line("inbound" if by == "contact" else "outbound", body, event, f"SM-{event}", by == "person")


def shown(history: History, *lines: Line) -> list[tuple[str, str]]:
    question = question_of(history.state, lines, history.state.unanswered)
    return [*((turn.role, turn.text) for turn in question.history), *(("asked", text) for text in question.unanswered)]


TWO = given(received("m1"), *delivered_to_twilio("none", "none"), received("m2"))


def test_what_waits_stands_last_whatever_was_sent_after_it() -> None:
    history = given(received("m1"), generated("r1", "m1"), received("m2"), *delivered_to_twilio("r1", "a1"))
    lines = (line("m1", "Oi"), line("m2", "E?"), line("s1", "Hello.", by="assistant"))
    assert shown(history, *lines) == [("contact", "Oi"), ("assistant", "Hello."), ("asked", "E?")]


def test_what_a_person_said_stands_there_as_a_persons() -> None:
    history = given(received("m1"), taken(), person_replied("p1"), received("m2"))
    history = history.when(*delivered_to_twilio("p1", "a1"))
    lines = (line("m1", "Oi"), line("s1", "I am a person.", by="person"), line("m2", "E?"))
    assert shown(history, *lines)[:2] == [("contact", "Oi"), ("person", "I am a person.")]


def test_what_came_after_the_question_is_left_out() -> None:
    lines = (line("m1", "Oi"), line("m2", "E?"), line("m3", "Alô?"))
    assert shown(TWO, *lines) == [("asked", "Oi"), ("asked", "E?")]


def test_what_is_on_its_way_is_not_said_again() -> None:
    history = given(received("m1"), generated("r1", "m1", parts=("one", "two")), *delivered_to_twilio("r1", "a1"))
    history = history.when(started("r1", "a2", 1), received("m2"))
    lines = (line("m1", "Oi"), line("s1", "one", by="assistant"), line("m2", "E?"))
    assert shown(history, *lines) == [("contact", "Oi"), ("assistant", "one"), ("assistant", "two"), ("asked", "E?")]
    arrived = (*lines, line("s2", "two", by="assistant"))
    assert [text for role, text in shown(history, *arrived) if role == "assistant"] == ["one", "two"]


def test_what_a_person_is_about_to_say_is_a_persons() -> None:
    history = given(received("m1"), person_replied("p1", "Wait."), received("m2"))
    question = question_of(history.state, (line("m1", "Oi"), line("m2", "E?")), history.state.unanswered)
    assert question.history[-1] == Turn("person", "Wait.")


def test_the_newest_message_is_the_one_that_shows_typing() -> None:
    assert newest_sid((line("m1", "Oi"), line("m2", "E?"), line("m3", "Alô?")), TWO.state.unanswered) == "SM-m2"
    assert newest_sid((), TWO.state.unanswered) is None
