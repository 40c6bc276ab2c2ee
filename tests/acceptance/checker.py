"""
The one judge of a run: what must hold of it, whatever was killed, paused or repeated.

The offline responder quotes what it answers, so that the phones alone tell whether every message was answered once and in
order; the read model must tell the same story.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.acceptance.history import Accepted, History, Written

QUOTE = re.compile(r"“([^”]*)”")
FINAL_STATUS = "read"
UNSENT = frozenset({"superseded", "withdrawn", "cancelled"})


def violations(history: History) -> list[str]:
    """Each begins with the law's name; none means that all is well."""
    return [
        *_of_the_phones(history),
        *_of_the_sends(history),
        *_of_the_read_model(history),
        *(f"left over: dead letter {row['event_id']} of {row['consumer_group']}" for row in history.dead_letters),
        *(f"left over: skipped event {row['partition']}/{row['position']}" for row in history.skipped_events),
        *(f"behind: {who}" for who in history.behind),
    ]


def answered_in(reply: str) -> list[str]:
    """What an offline reply answers: the messages that it quotes, except the one from before."""
    return [quote for line in reply.split("\n") if not line.startswith("Before that") for quote in QUOTE.findall(line)]


def remembered_in(reply: str) -> str | None:
    """The message that came before, if the reply remembers one."""
    return next((quote for line in reply.split("\n") if line.startswith("Before that") for quote in QUOTE.findall(line)), None)


def _of_the_phones(history: History) -> Iterator[str]:
    contacts = {each.contact for each in history.written} | {each.contact for each in history.accepted}
    for contact in sorted(contacts):
        written = [each for each in history.written if each.contact == contact]
        accepted = [each for each in history.accepted if each.contact == contact]
        yield from _of_one_phone(contact, written, accepted)


def _of_one_phone(contact: str, written: Sequence[Written], accepted: Sequence[Accepted]) -> Iterator[str]:
    asked = [message.body for message in written]
    answered = [quote for reply in accepted for quote in answered_in(reply.body)]
    times = Counter(answered)
    yield from (f"unanswered: {contact} wrote {body}" for body in asked if times[body] == 0)
    yield from (f"answered twice: {contact} wrote {body}" for body, count in times.items() if count > 1)
    yield from (f"stray: {contact} was answered {quote}" for quote in answered if quote not in asked)
    if [quote for quote in dict.fromkeys(answered) if quote in asked] != [body for body in asked if times[body]]:
        yield f"out of order: {contact} wrote {asked} and was answered {answered}"
    for reply in accepted:
        quotes = answered_in(reply.body)
        if not quotes:
            yield f"stray: {contact} received {reply.sid}, which answers nothing"
        elif quotes[0] in asked:
            before = asked.index(quotes[0]) - 1
            if remembered_in(reply.body) != (asked[before] if before >= 0 else None):
                yield f"forgotten: {contact} was told {remembered_in(reply.body)} with {quotes}"


def _of_the_sends(history: History) -> Iterator[str]:
    attempts = Counter(message.attempt for message in history.accepted)
    yield from (f"sent twice: attempt {attempt}" for attempt, count in attempts.items() if count > 1 or not attempt)
    shown = Counter(history.arrived)
    for message in history.accepted:
        if shown[message.sid] != 1:
            yield f"arrival: {message.sid} was shown {shown[message.sid]} times"
        if history.statuses.get(message.sid) != FINAL_STATUS:
            yield f"status: Twilio has {message.sid} as {history.statuses.get(message.sid)}"


def _of_the_read_model(history: History) -> Iterator[str]:
    inbound = [row for row in history.messages if row["direction"] == "inbound"]
    outbound = [row for row in history.messages if row["direction"] == "outbound"]
    yield from _of_same_sids("inbound", [row["sid"] for row in inbound], [each.sid for each in history.written])
    yield from _of_same_sids("outbound", [row["sid"] for row in outbound], [each.sid for each in history.accepted])
    yield from (f"status: the row of {row['sid']} says {row['status']}" for row in outbound if row["status"] != FINAL_STATUS)

    unsent = {row["id"] for row in history.replies if row["status"] in UNSENT}
    yield from (f"superseded: {row['sid']} was sent of reply {row['reply_id']}" for row in outbound if row["reply_id"] in unsent)
    parts = Counter((row["reply_id"], row["part"]) for row in outbound)
    yield from (f"sent twice: part {part} of reply {reply}" for (reply, part), count in parts.items() if count > 1)

    sent = [row for row in history.replies if row["id"] not in unsent]
    yield from (f"unsent: reply {row['id']} is {row['status']}" for row in sent if row["status"] != "sent")
    covered = Counter(event for row in sent for event in row["answers"])
    for row in inbound:
        if covered[row["event_id"]] != 1:
            yield f"coverage: {row['sid']} is covered by {covered[row['event_id']]} accepted replies"


def _of_same_sids(direction: str, rows: Sequence[str], ledger: Sequence[str]) -> Iterator[str]:
    counted = Counter(rows)
    yield from (f"rows: {direction} {sid} stands {counted[sid]} times" for sid in ledger if counted[sid] != 1)
    yield from (f"rows: {direction} {sid} is unknown to Twilio" for sid in counted.keys() - set(ledger))
