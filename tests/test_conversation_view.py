"""What a terminal is told of a reply's way to the contact."""

from datetime import UTC, datetime

import pytest

from commands.conversation_view import tell_delivery
from commands.say import address_of
from commands.terminal import Complaint
from operations.conversations import Said
from operations.delivery import Delivery
from projections.state import Part, PartStatus, Reply, ReplyKind, ReplyStatus
from streams.events import Rejection


def delivery(status: ReplyStatus, *messages: str, rejection: Rejection | None = None) -> Delivery:
    """Of a reply of one part, with a message in each of these statuses."""
    part = Part("Hello.", PartStatus.SENT if messages else PartStatus.REJECTED)
    reply = Reply("r1", "e1", "c1", ReplyKind.PERSON, status, 1, 0, (part,))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Delivery(reply, tuple(Said(at, "ana", "Hello.", each) for each in messages), rejection)


@pytest.mark.parametrize(
    "found",
    [
        delivery(ReplyStatus.FAILED, rejection=Rejection.WINDOW_CLOSED),
        delivery(ReplyStatus.FAILED),
        delivery(ReplyStatus.SENT, "undelivered"),
    ],
    ids=["rejected", "given up for another reason", "told by a callback only"],
)
def test_whatever_did_not_arrive_is_a_complaint(found: Delivery) -> None:
    assert found.has_failed
    with pytest.raises(Complaint, match="not delivered"):
        tell_delivery(found)


def test_what_is_on_its_way_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    tell_delivery(delivery(ReplyStatus.SENT, "sent"))
    assert capsys.readouterr().out == "sent: Hello.\n"


@pytest.mark.parametrize("name", ["whatsapp:+5511988887777", "+5511988887777", "5511988887777", "+55 (11) 98888-7777"])
def test_a_phone_is_written_in_any_of_its_forms(name: str) -> None:
    assert address_of(name) == "whatsapp:+5511988887777"


def test_who_hides_the_phone_keeps_the_id() -> None:
    assert address_of("BR.1a") == address_of("whatsapp:BR.1a") == "whatsapp:BR.1a"
