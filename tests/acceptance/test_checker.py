"""The checker itself: it finds nothing in a clean history, and each kind of violation when one is put in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.acceptance.checker import violations
from tests.acceptance.history import Accepted, History, Written

ANA, BIA = "whatsapp:+5511900000001", "whatsapp:+5511900000002"
SENT = {"direction": "outbound", "status": "read", "part": 0}


def clean() -> History:
    return History(
        written=[Written(ANA, "SM1", "a1"), Written(BIA, "SM2", "b1"), Written(ANA, "SM3", "a2"), Written(ANA, "SM4", "a3")],
        accepted=[
            Accepted(BIA, "SM5", "I am offline.\nYou said: “b1”.", "B1"),
            Accepted(ANA, "SM6", "I am offline.\nYou said: “a1”.", "A1"),
            Accepted(ANA, "SM7", "I am offline.\nYou sent 2 messages:\n1. “a2”\n2. “a3”\nBefore that you said: “a1”.", "A2"),
        ],
        arrived=["SM5", "SM6", "SM7"],
        statuses={"SM5": "read", "SM6": "read", "SM7": "read"},
        messages=[
            *({"direction": "inbound", "sid": f"SM{number}", "event_id": f"E{number}"} for number in (1, 2, 3, 4)),
            *({**SENT, "sid": sid, "reply_id": reply} for sid, reply in (("SM5", "R1"), ("SM6", "R2"), ("SM7", "R3"))),
        ],
        replies=[
            {"id": "R1", "status": "sent", "answers": ["E2"]},
            {"id": "R2", "status": "sent", "answers": ["E1"]},
            {"id": "R3", "status": "sent", "answers": ["E3", "E4"]},
            {"id": "R4", "status": "superseded", "answers": ["E3"]},
        ],
    )


def told(history: History) -> set[str]:
    return {violation.partition(":")[0] for violation in violations(history)}


def without(rows: Any, **wanted: Any) -> list[Any]:
    return [row for row in rows if any(row[name] != value for name, value in wanted.items())]


def changed(rows: Any, sid: str, **values: Any) -> list[Any]:
    return [{**row, **values} if row.get("sid", row.get("id")) == sid else row for row in rows]


def spoken(history: History, sid: str, body: str) -> History:
    return replace(history, accepted=[replace(each, body=body) if each.sid == sid else each for each in history.accepted])


BREACHES: dict[str, tuple[str, Callable[[History], History]]] = {
    "a message is not answered": ("unanswered", lambda h: replace(h, accepted=h.accepted[1:])),
    "a message is answered by two replies": (
        "answered twice",
        lambda h: replace(h, accepted=[*h.accepted, Accepted(BIA, "SM8", "You said: “b1”.", "B2")]),
    ),
    "a later message is answered first": (
        "out of order",
        lambda h: replace(h, accepted=[h.accepted[0], h.accepted[2], h.accepted[1]]),
    ),
    "two messages change places in one reply": (
        "out of order",
        lambda h: spoken(h, "SM7", "You sent 2 messages:\n1. “a3”\n2. “a2”\nBefore that you said: “a2”."),
    ),
    "a reply goes to another contact": (
        "stray",
        lambda h: replace(h, accepted=[replace(h.accepted[0], contact=ANA), *h.accepted[1:]]),
    ),
    "a reply answers nothing": ("stray", lambda h: spoken(h, "SM5", "I am offline.")),
    "a reply forgets what was before": ("forgotten", lambda h: spoken(h, "SM7", "1. “a2”\n2. “a3”")),
    "one attempt is accepted twice": (
        "sent twice",
        lambda h: replace(h, accepted=[*h.accepted[:2], replace(h.accepted[2], attempt="A1")]),
    ),
    "one part of a reply has two messages": (
        "sent twice",
        lambda h: replace(h, messages=changed(h.messages, "SM6", reply_id="R1")),
    ),
    "a message never arrives": ("arrival", lambda h: replace(h, arrived=h.arrived[1:])),
    "a message arrives twice": ("arrival", lambda h: replace(h, arrived=[*h.arrived, "SM5"])),
    "Twilio has no final status": ("status", lambda h: replace(h, statuses={**h.statuses, "SM6": "delivered"})),
    "the row has no final status": ("status", lambda h: replace(h, messages=changed(h.messages, "SM6", status="sent"))),
    "a message is missing in the read model": ("rows", lambda h: replace(h, messages=without(h.messages, sid="SM1"))),
    "a duplicate is counted": ("rows", lambda h: replace(h, messages=[*h.messages, h.messages[0]])),
    "the read model has a message that Twilio has not": (
        "rows",
        lambda h: replace(h, messages=[*h.messages, {**SENT, "sid": "SM9", "reply_id": "R9"}]),
    ),
    "a superseded reply is sent": ("superseded", lambda h: replace(h, messages=changed(h.messages, "SM7", reply_id="R4"))),
    "a reply is not sent": ("unsent", lambda h: replace(h, replies=changed(h.replies, "R1", status="accepted"))),
    "a message is covered by no reply": ("coverage", lambda h: replace(h, replies=changed(h.replies, "R1", answers=[]))),
    "a message is covered by two replies": ("coverage", lambda h: replace(h, replies=changed(h.replies, "R4", status="sent"))),
    "there is a dead letter": (
        "left over",
        lambda h: replace(h, dead_letters=[{"event_id": "E1", "consumer_group": "responder"}]),
    ),
    "an event was skipped": ("left over", lambda h: replace(h, skipped_events=[{"partition": 0, "position": 1}])),
    "a group lags": ("behind", lambda h: replace(h, behind=["sender: partition 0"])),
}


def test_a_clean_history_has_no_violation() -> None:
    assert violations(clean()) == []


@pytest.mark.parametrize("breach", BREACHES)
def test_the_checker_finds(breach: str) -> None:
    law, inject = BREACHES[breach]
    assert law in told(inject(clean()))
