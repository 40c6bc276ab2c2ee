"""What is told of one message beside a phone is one step."""

from commands.beside_steps import folded
from operations.refold import Step


def told(name: str, *changes: str, message: str = "", at: int = 0) -> Step:
    return Step(f"{name}-{at}", name, at, at, changes, message)


def test_the_statuses_of_a_message_are_one_step_that_grows_where_it_began() -> None:
    statuses = [
        told("message.status_changed", f"message {word}", message="SM1", at=at) for at, word in enumerate(("sent", "delivered"))
    ]
    read = told("message.status_changed", "message read", message="SM1", at=9)
    between = told("message.received", "1 unanswered", at=5)
    before, after = folded([*statuses, between]), folded([*statuses, between, read])
    assert [step.key for step in before] == [step.key for step in after]
    assert [step.changes for step in after] == [("message sent, delivered, read",), ("1 unanswered",)]


def test_each_message_has_a_step_of_its_own() -> None:
    assert len(folded([told("message.status_changed", "message sent", message=sid) for sid in ("SM1", "SM2")])) == 2


def test_what_failed_is_marked() -> None:
    failed = ("reply.failed", "send.rejected", "event.dead_lettered")
    assert [step.is_failure for step in folded(told(name, at=at) for at, name in enumerate((*failed, "attempt.failed")))] == [
        True,
        True,
        True,
        False,
    ]
    [step] = folded(
        [
            told("message.status_changed", "message sent", message="SM1"),
            told("message.status_changed", "message failed (63024)", message="SM1"),
        ]
    )
    assert step.is_failure
