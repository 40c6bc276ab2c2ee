"""What a person may not do, and what they are told instead: pure."""

from dataclasses import replace

import pytest

from operations.permission import WINDOW, why_not_act, why_not_release, why_not_reply
from projections.policy import WINDOW_MS
from projections.state import ClosedBy, Status, ThreadState
from streams.events import ConversationTaken, MessageReceived
from tests.projections.scenario import Fact, History, Silence, given

ASKED = Fact(MessageReceived(sid="SM1", kind="text", body="Olá", form={}), id="asked")
TAKEN = Fact(ConversationTaken(by="ana"))


def state(*steps: Fact | Silence) -> ThreadState:
    return given(ASKED, *steps).state


def ended(status: Status, closed_by: ClosedBy | None = None) -> ThreadState:
    history: History = given(ASKED)
    return replace(history.state, conversation=replace(history.conversation, status=status, closed_by=closed_by))


@pytest.mark.parametrize("status", [Status.PENDING, Status.ACTIVE, Status.IDLE, Status.HANDOFF])
def test_whatever_is_open_can_be_taken_and_closed(status: Status) -> None:
    assert why_not_act(ended(status), "asked") is None


@pytest.mark.parametrize(
    ("status", "closed_by", "told"),
    [
        (Status.EXPIRED, None, "has expired"),
        (Status.CLOSED, ClosedBy.CONTACT, "was closed by the contact"),
        (Status.CLOSED, ClosedBy.AI, "was closed by the ai"),
    ],
)
def test_what_is_over_is_refused_with_how_it_ended(status: Status, closed_by: ClosedBy | None, told: str) -> None:
    for refusal in (why_not_act, why_not_release):
        assert told in (refusal(ended(status, closed_by), "asked") or "")
    assert told in (why_not_reply(ended(status, closed_by), "asked", 0) or "")


def test_an_older_conversation_is_refused_and_the_newest_one_named() -> None:
    assert "asked is the newest one" in (why_not_act(state(), "older") or "")
    assert "is over" in (why_not_act(None, "older") or "")


def test_only_what_a_person_has_can_be_given_back() -> None:
    assert "nobody has taken" in (why_not_release(state(), "asked") or "")
    assert why_not_release(state(TAKEN), "asked") is None


def test_nothing_can_be_said_once_the_window_has_closed() -> None:
    now = given(ASKED).now_ms
    assert why_not_reply(state(), "asked", now + WINDOW_MS - 1) is None
    assert why_not_reply(state(), "asked", now + WINDOW_MS) == WINDOW
