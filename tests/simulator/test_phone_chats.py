"""What a phone on the page shows is a fold of the ledger."""

import time

from simulator.ledger import Entry, Kind
from simulator.messages import Message
from simulator.phone.chats import NOTE, SHOWN, Chats, Tick
from tests.simulator.stand_in import ANA, BIA, SENDER

NOON = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))
DAY = 86_400


def written(number: int, sid: str, *, at: float = NOON, sender: str = ANA) -> Entry:
    message = Message(sid, "inbound", sender, SENDER, f"text of {sid}", "received", at, at)
    return Entry(number, at, Kind.MESSAGE_WRITTEN, sid, {"address": sender, "message_type": "text", "message": message.to_json()})


def accepted(number: int, sid: str, *, at: float = NOON) -> Entry:
    message = Message(sid, "outbound-api", SENDER, ANA, f"text of {sid}", "queued", at, at)
    return Entry(number, at, Kind.MESSAGE_ACCEPTED, sid, {"address": ANA, "message": message.to_json()})


def status(number: int, sid: str, word: str, code: int | None = None) -> Entry:
    return Entry(number, NOON, Kind.STATUS_CHANGED, sid, {"status": word, "error_code": code})


def webhook(number: int, sid: str, answer: int | None) -> Entry:
    kind = Kind.WEBHOOK_ANSWERED if answer == 200 else Kind.WEBHOOK_FAILED
    return Entry(number, NOON, kind, sid, {"status": answer})


def folded(*entries: Entry, contacts: tuple[str, ...] = (ANA,)) -> Chats:
    chats = Chats(contacts)
    for entry in entries:
        chats.apply(entry)
    return chats


def ticks(*entries: Entry) -> list[Tick]:
    """The tick of the only bubble after each entry."""
    chats = Chats([ANA])
    seen = []
    for entry in entries:
        chats.apply(entry)
        seen += [bubble.tick for bubble in chats.chats[ANA].bubbles.values()]
    return seen


def test_a_reply_gets_its_ticks_one_after_the_other() -> None:
    words = [status(2, "SM1", "sent"), status(3, "SM1", "delivered"), status(4, "SM1", "read")]
    assert ticks(accepted(1, "SM1"), *words) == [Tick.WAITING, Tick.SENT, Tick.DELIVERED, Tick.READ]


def test_what_failed_says_why() -> None:
    chat = folded(accepted(1, "SM1"), status(2, "SM1", "undelivered", 63024)).chats[ANA]
    assert chat.bubbles["SM1"].tick is Tick.FAILED
    assert chat.bubbles["SM1"].trouble == "63024 · Invalid message recipient"


def test_what_a_contact_wrote_is_delivered_once_the_webhook_took_it() -> None:
    assert ticks(written(1, "SM1"), webhook(2, "SM1", 200)) == [Tick.SENT, Tick.DELIVERED]
    assert ticks(written(1, "SM1"), webhook(2, "SM1", None)) == [Tick.SENT, Tick.FAILED]


def test_one_of_two_posts_that_arrived_is_enough_in_either_order() -> None:
    for answers in ((200, 503), (503, 200)):
        *_, last = ticks(written(1, "SM1"), *(webhook(2 + index, "SM1", answer) for index, answer in enumerate(answers)))
        assert last is Tick.DELIVERED


def test_what_no_webhook_was_called_for_says_so_and_what_was_refused_says_why() -> None:
    dropped = Entry(2, NOON, Kind.MESSAGE_DROPPED, "SM1", {"reason": "never posted"})
    bubble = folded(written(1, "SM1"), dropped).chats[ANA].bubbles["SM1"]
    assert (bubble.tick, bubble.trouble) == (Tick.FAILED, "No webhook was called")
    refused = folded(written(1, "SM1"), webhook(2, "SM1", 503), dropped).chats[ANA].bubbles["SM1"]
    assert (refused.tick, refused.trouble) == (Tick.FAILED, "The webhook answered 503")


def test_each_phone_shows_its_own_messages_only() -> None:
    chats = folded(written(1, "SM1"), written(2, "SM2", sender=BIA), contacts=(ANA, BIA))
    assert [list(chat.bubbles) for chat in chats.chats.values()] == [["SM1"], ["SM2"]]


def test_only_what_changed_is_taken_and_only_once() -> None:
    chats = folded(written(1, "SM1"), accepted(2, "SM2"))
    chat = chats.chats[ANA]
    assert [bubble.sid for bubble in chat.take_changed()] == ["SM1", "SM2"]
    chats.apply(status(3, "SM2", "sent"))
    assert [bubble.sid for bubble in chat.take_changed()] == ["SM2"]
    assert chat.take_changed() == []


def test_a_day_is_told_once_and_a_row_is_opened_by_each_change_of_speaker() -> None:
    entries = (written(1, "a"), written(2, "b"), accepted(3, "c"), accepted(4, "d", at=NOON + DAY))
    bubbles = folded(*entries).chats[ANA].bubbles.values()
    assert [bubble.opens_day for bubble in bubbles] == [True, False, False, True]
    assert [bubble.opens_row for bubble in bubbles] == [True, False, True, True]


def test_a_send_that_twilio_did_not_take_leaves_a_note() -> None:
    refused = Entry(7, NOON, Kind.MESSAGE_REFUSED, "", {"address": ANA, "reason": "429"})
    [note] = folded(refused).chats[ANA].bubbles.values()
    assert (note.kind, note.body) == (NOTE, "Twilio did not take a send: 429")


def test_a_moved_clock_is_told_wherever_somebody_has_spoken() -> None:
    passed = Entry(2, NOON, Kind.TIME_PASSED, "", {"minutes": 1500, "told": "25 hours later"})
    chats = folded(written(1, "SM1"), passed, accepted(3, "SM2"), contacts=(ANA, BIA)).chats
    assert [bubble.body for bubble in chats[ANA].bubbles.values()] == ["text of SM1", "25 hours later", "text of SM2"]
    assert [bubble.opens_row for bubble in chats[ANA].bubbles.values()] == [True, True, True]
    assert chats[BIA].bubbles == {}


def test_what_comes_after_time_was_let_pass_is_dated_by_so_much_later() -> None:
    passed = Entry(2, NOON, Kind.TIME_PASSED, "", {"minutes": 1500, "told": "25 hours later"})
    bubbles = folded(written(1, "SM1"), passed, passed, accepted(4, "SM2")).chats[ANA].bubbles.values()
    assert [(bubble.at - NOON) / 3600 for bubble in bubbles] == [0, 50, 50]
    assert [bubble.opens_day for bubble in bubbles] == [True, True, False]


def test_a_phone_keeps_what_twilio_has_forgotten() -> None:
    gone = Entry(2, NOON, Kind.MESSAGE_DELETED, "SM1", {})
    assert folded(written(1, "SM1"), gone).chats[ANA].bubbles["SM1"].body == "text of SM1"


def test_a_long_chat_is_cut_at_its_beginning() -> None:
    chat = folded(*(written(number, f"SM{number}") for number in range(SHOWN + 5))).chats[ANA]
    assert list(chat.bubbles) == [f"SM{number}" for number in range(5, SHOWN + 5)]
    assert len(chat.take_changed()) == SHOWN


def test_a_ledger_of_an_older_version_is_read() -> None:
    entry = written(1, "SM1")
    assert "fields" not in entry.details
    assert folded(entry).chats[ANA].bubbles["SM1"].fields == {}
