"""
The one judge of a run: what must hold of it, whatever was killed, paused, cut off or repeated.

Every message that was acknowledged stands in the log and in the read model once, and has exactly one fate. A responder that
quotes what it answers (the offline one) lets the phones alone tell whether each was answered once and in order; the read model
must tell the same story, and be what a pure fold of the log gives.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from streams.engines.redis_keys import FIRST_EPOCH
from streams.errors import EX_CONFIG
from streams.events import SendUnconfirmed
from tests.harness.allowed import STRICT, Allowed, Fate
from tests.harness.fates import NEVER_SENT, doubtful_replies, fates_of
from tests.harness.history import History, Written
from tests.harness.phones import UNDELIVERED, everybody_in, of_one_phone
from tests.harness.refold import misread


def violations(history: History, allowed: Allowed = STRICT) -> list[str]:
    """Each begins with the law's name; none means that all is well."""
    if allowed.lost_tail:
        history = replace(history, written=[_as_fetched(message, history) for message in history.written])
        allowed = replace(allowed, fetches=True)
    fates = fates_of(history)
    told = [
        *_of_the_log(history, allowed),
        *_of_the_fates(history, fates, allowed),
        *_of_the_sends(history),
        *_of_the_phones(history),
        *_of_the_statuses(history, allowed),
        *_of_the_rows(history),
        *_of_the_generations(history, allowed),
        *(f"behind: {who}" for who in history.behind),
        *(f"refold: {what}" for what in misread(history)),
    ]
    if allowed.quotes:
        told += [each for contact in everybody_in(history) for each in of_one_phone(history, contact, fates, allowed)]
    if not allowed.skipped_events:
        told += [f"left over: skipped event {row['partition']}/{row['position']}" for row in history.skipped_events]
    if not allowed.fates & {Fate.DEAD_LETTERED, Fate.EXPIRED}:
        left = {row["event_id"] for row in history.replies if row["id"] in doubtful_replies(history)}
        letters = [row for row in history.dead_letters if row["event_id"] not in left]
        told += [f"left over: dead letter {row['event_id']} of {row['consumer_group']}" for row in letters]
    return told


def _as_fetched(message: Written, history: History) -> Written:
    """What the reconciler brought back has the place in the order that one which no webhook ever brought would have."""
    return replace(message, is_acked=message.is_acked and message.sid not in history.fetched)


def _of_the_log(history: History, allowed: Allowed) -> Iterator[str]:
    for message in history.written:
        if message.is_acked and message.sid not in history.logged:
            yield f"lost: {message.sid} was acknowledged and is not in the log"
        if allowed.fetches and not message.is_acked and message.sid not in history.logged:
            yield f"lost: {message.sid} is listed by Twilio and was not fetched"


def _of_the_generations(history: History, allowed: Allowed) -> Iterator[str]:
    """A log that lost what was folded ends its workers, by a code that no supervisor answers; nothing else does."""
    told = [end.name for end in history.ends if end.code == EX_CONFIG]
    is_repaired = any(record.epoch > FIRST_EPOCH for record in history.records)
    if is_repaired and not told:
        yield "unnoticed: the log lost something that was folded, and no worker ended by itself"
    if not allowed.lost_tail:
        yield from (f"fatal: {name} ended with exit code {EX_CONFIG:d}" for name in told)
        if is_repaired:
            yield "fatal: the log has a new generation"


def _of_the_fates(history: History, fates: Mapping[str, Sequence[Fate]], allowed: Allowed) -> Iterator[str]:
    for message in history.written:
        found = fates.get(message.sid, ())
        if not found and (message.is_acked or message.sid in fates):
            yield f"unanswered: nothing became of {message.sid}"
        if len(found) > 1:
            yield f"coverage: {message.sid} is {' and '.join(found)}"
        if len(found) == 1 and found[0] not in allowed.fates:
            yield f"fate: {message.sid} is {found[0]}"


def _of_the_sends(history: History) -> Iterator[str]:
    """Twilio's ledger against what the log says of each attempt; no row is believed here."""
    attempts = Counter(message.attempt for message in history.accepted)
    yield from (f"sent twice: attempt {attempt}" for attempt, count in attempts.items() if count > 1 or not attempt)
    parts: Counter[tuple[str, int]] = Counter()
    taken: set[tuple[str, int]] = set()
    never_sent = {row["id"]: row["status"] for row in history.replies if row["status"] in NEVER_SENT}
    for message in history.accepted:
        attempt = history.attempts.get(message.attempt)
        if attempt is None:
            yield f"sent twice: {message.sid} by attempt {message.attempt}, of which the log knows nothing"
            continue
        if history.statuses.get(message.sid) not in UNDELIVERED:
            parts[attempt.reply, attempt.part] += 1
        taken.add((attempt.reply, attempt.part))
        if attempt.part and (attempt.reply, attempt.part - 1) not in taken:
            yield f"out of order: part {attempt.part} of reply {attempt.reply} before the one before it"
        if attempt.outcome == SendUnconfirmed.name:
            yield f"unconfirmed: {message.sid} is listed by Twilio, and was left to a person"
        if attempt.reply in never_sent:
            yield f"{never_sent[attempt.reply]}: {message.sid} was sent of reply {attempt.reply}"
    yield from (f"sent twice: part {part} of reply {reply}" for (reply, part), count in parts.items() if count > 1)


def _of_the_phones(history: History) -> Iterator[str]:
    shown = Counter(history.arrived)
    for message in history.accepted:
        wanted = 0 if history.statuses.get(message.sid) in UNDELIVERED else 1
        if shown[message.sid] != wanted:
            yield f"arrival: {message.sid} was shown {shown[message.sid]} times"


def _of_the_statuses(history: History, allowed: Allowed) -> Iterator[str]:
    final = {"read", *UNDELIVERED}
    for message in history.accepted:
        if history.statuses.get(message.sid) not in final:
            yield f"status: Twilio has {message.sid} as {history.statuses.get(message.sid)}"
    if allowed.lost_statuses:
        return
    for row in history.messages:
        if row["direction"] == "outbound" and row["status"] != history.statuses.get(row["sid"], row["status"]):
            yield f"status: the row of {row['sid']} says {row['status']}, Twilio {history.statuses.get(row['sid'])}"


def _of_the_rows(history: History) -> Iterator[str]:
    inbound = Counter(row["sid"] for row in history.messages if row["direction"] == "inbound")
    outbound = {row["sid"]: row for row in history.messages if row["direction"] == "outbound"}
    for message in history.written:
        if inbound[message.sid] > 1 or (message.is_acked and not inbound[message.sid]):
            yield f"rows: inbound {message.sid} stands {inbound[message.sid]} times"
    yield from (f"rows: inbound {sid} is unknown to Twilio" for sid in inbound.keys() - {each.sid for each in history.written})
    sids = {each.sid: each for each in history.accepted}
    yield from (f"rows: outbound {sid} is unknown to Twilio" for sid in outbound.keys() - sids)
    unconfirmed = {row["id"] for row in history.replies if row["status"] == "unconfirmed"}
    for sid, ours in sids.items():
        row, attempt = outbound.get(sid), history.attempts.get(ours.attempt)
        if row is None and not (attempt and attempt.reply in unconfirmed):
            yield f"rows: outbound {sid} stands 0 times"
        if row is not None and not row["thread"].endswith(f"|{ours.contact}"):
            yield f"stray: {sid} went to another contact than its row says"
