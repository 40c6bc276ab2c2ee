"""
The one judge of a run: what must hold of it, whatever was killed, paused, cut off or repeated.

Every message that was acknowledged stands in the log and in the read model once, and has exactly one fate. A responder that
quotes what it answers (the offline one) lets the phones alone tell whether each was answered once and in order; the read model
must tell the same story, and be what a pure fold of the log gives.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from streams.engines.redis_keys import FIRST_EPOCH
from streams.errors import EX_CONFIG
from streams.events import SendUnconfirmed
from tests.harness.history import Accepted, History, Row, Written
from tests.harness.quotes import answered_in, remembered_in
from tests.harness.refold import misread

READ, DELIVERED = "read", "delivered"
UNDELIVERED = frozenset({"failed", "undelivered"})
NEVER_SENT = frozenset({"superseded", "withdrawn"})


class Fate(StrEnum):
    """What became of a message of a contact."""

    ANSWERED = "answered"
    DEAD_LETTERED = "dead-lettered"
    UNCONFIRMED = "unconfirmed"
    LEFT_TO_A_PERSON = "left to a person"
    CLOSED = "closed by the contact"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a run may show besides answers. Whatever else is found is a violation."""

    fates: frozenset[Fate] = frozenset({Fate.ANSWERED})
    lost_statuses: bool = False
    """Callbacks may be lost: the read model may know less of a message's way than Twilio does."""
    skipped_events: bool = False
    lost_tail: bool = False
    """
    The log may have lost what it had acknowledged, and been repaired. All messages of contacts must be there in the end, and
    answered, and nothing is sent twice. Only: one that the reconciler had to bring back may stand later in the log than others
    that were written after it, and is answered in its place there.
    """
    quotes: bool = True
    """Whether each reply quotes what it answers."""
    failure_sentences: bool = False
    """Contacts may be told that nobody can answer now: a message of ours that answers nothing."""
    fetches: bool = False
    """Whether what Twilio lists and no webhook brought must be there in the end, and be answered."""


STRICT = Allowed()
HARSH = Allowed(fates=frozenset({Fate.ANSWERED, Fate.UNCONFIRMED}), lost_statuses=True)
"""Where callbacks were lost, nobody may be able to tell what came of a send."""


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
        told += [each for contact in _contacts(history) for each in _of_one_phone(history, contact, fates, allowed)]
    if not allowed.skipped_events:
        told += [f"left over: skipped event {row['partition']}/{row['position']}" for row in history.skipped_events]
    if not allowed.fates & {Fate.DEAD_LETTERED, Fate.EXPIRED}:
        left = {row["event_id"] for row in history.replies if row["id"] in _doubtful(history)}
        letters = [row for row in history.dead_letters if row["event_id"] not in left]
        told += [f"left over: dead letter {row['event_id']} of {row['consumer_group']}" for row in letters]
    return told


def _as_fetched(message: Written, history: History) -> Written:
    """What the reconciler brought back has the place in the order that one which no webhook ever brought would have."""
    return replace(message, is_acked=message.is_acked and message.sid not in history.fetched)


def fates_of(history: History) -> dict[str, list[Fate]]:
    """What the read model says became of each inbound message, by sid: exactly one, if all is well and everything is over."""
    letters = {row["event_id"]: row for row in history.dead_letters}
    conversations = {row["id"]: row for row in history.conversations}
    covering: dict[str, list[Row]] = {}
    doubtful = _doubtful(history)
    for reply in history.replies:
        if reply["status"] not in NEVER_SENT:
            for event in reply["answers"]:
                covering.setdefault(event, []).append(reply)
    fates: dict[str, list[Fate]] = {}
    for row in history.messages:
        if row["direction"] == "inbound":
            event = row["event_id"]
            found = [fate for reply in covering.get(event, ()) if (fate := _fate_by(reply, doubtful))]
            if not covering.get(event):
                found = _fates_without_reply(letters.get(event), conversations.get(row["conversation_id"]))
            fates.setdefault(row["sid"], []).extend(found)
    return fates


def _doubtful(history: History) -> frozenset[str]:
    """Replies that were left to a person; a paused worker may tell afterwards that it has not called, too late for a resend."""
    return frozenset(each.reply for each in history.attempts.values() if each.outcome == SendUnconfirmed.name)


def _fate_by(reply: Row, doubtful: Collection[str]) -> Fate | None:
    match reply["status"]:
        case "sent" | "cancelled":
            return Fate.ANSWERED
        case "failed":
            return Fate.UNCONFIRMED if reply["id"] in doubtful else Fate.DEAD_LETTERED
        case "unconfirmed":
            return Fate.UNCONFIRMED
        case _:
            return None


def _fates_without_reply(letter: Row | None, conversation: Row | None) -> list[Fate]:
    if letter is not None:
        return [Fate.EXPIRED if "expired" in letter["error"] else Fate.DEAD_LETTERED]
    if conversation is not None and conversation["closed_by"] is not None:
        return [Fate.CLOSED]
    if conversation is not None and (conversation["status"] == "handoff" or conversation["taken_by"] is not None):
        return [Fate.LEFT_TO_A_PERSON]
    return []


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
    final = {READ, *UNDELIVERED}
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


def _contacts(history: History) -> list[str]:
    return sorted({each.contact for each in history.written} | {each.contact for each in history.accepted})


def _of_one_phone(history: History, contact: str, fates: Mapping[str, Sequence[Fate]], allowed: Allowed) -> Iterator[str]:
    written = [each for each in history.written if each.contact == contact]
    delivered = [
        each for each in history.accepted if each.contact == contact and history.statuses.get(each.sid) not in UNDELIVERED
    ]
    quoted = [quote for reply in delivered for quote in answered_in(reply.body)]
    times = Counter(quoted)
    bodies = {message.body: message for message in written}
    excused = allowed.fates - {Fate.ANSWERED}
    for body, message in bodies.items():
        if times[body] > 1:
            yield f"answered twice: {contact} wrote {body}"
        is_owed = message.is_acked or (allowed.fetches and message.sid in history.logged)
        if is_owed and not times[body] and not excused & set(fates.get(message.sid, ())):
            yield f"unanswered: {contact} wrote {body}"
    yield from (f"stray: {contact} was answered {quote}" for quote in quoted if quote not in bodies)
    first_quoted = [quote for quote in dict.fromkeys(quoted) if quote in bodies and bodies[quote].is_acked]
    asked = [message.body for message in written if message.is_acked and times[message.body]]
    if first_quoted != asked:
        yield f"out of order: {contact} wrote {asked} and was answered {first_quoted}"
    if allowed.fetches:
        in_log = [each.body for each in sorted(written, key=_places_of(history)) if times[each.body]]
        if list(dict.fromkeys(quote for quote in quoted if quote in bodies)) != in_log:
            yield f"out of order: the log has {in_log} of {contact}, who was answered {quoted}"
    yield from _of_what_was_before(history, contact, written, delivered, allowed)


def _places_of(history: History) -> Callable[[Written], int]:
    places = {sid: place for place, sid in enumerate(history.logged)}
    return lambda message: places.get(message.sid, len(places))


def _of_what_was_before(
    history: History, contact: str, written: Sequence[Written], delivered: Sequence[Accepted], allowed: Allowed
) -> Iterator[str]:
    """
    Each reply quotes something, and remembers the message that stands in the log before the first that it answers.

    Failure sentences quote nothing; a second one is told only after an answer.
    """
    was_sentence = False
    said: dict[str, list[Accepted]] = {}
    for message in delivered:
        attempt = history.attempts.get(message.attempt)
        said.setdefault(attempt.reply if attempt else message.sid, []).append(message)
    known = [message for message in written if message.is_acked or message.sid in history.logged]
    asked = [message.body for message in known]
    kinds = {row["id"]: row["kind"] for row in history.replies}
    for reply, messages in said.items():
        quotes = [quote for message in messages for quote in answered_in(message.body)]
        remembered = [told for message in messages if (told := remembered_in(message.body))]
        is_sentence = allowed.failure_sentences and kinds.get(reply) == "failure_sentence"
        if is_sentence and was_sentence:
            yield f"stray: {contact} was told of a failure twice by {messages[0].sid}"
        was_sentence = is_sentence
        if not quotes and not is_sentence:
            yield f"stray: {contact} received {messages[0].sid}, which answers nothing"
        elif quotes and quotes[0] in asked and asked.index(quotes[0]) > 0:
            before = known[asked.index(quotes[0]) - 1]
            is_said_in_full = all(each.is_acked for each in known) and _is_complete(history, reply, messages)
            if is_said_in_full and remembered != [before.body]:
                yield f"forgotten: {contact} was told {remembered} with {quotes}"


def _is_complete(history: History, reply: str, messages: Sequence[Accepted]) -> bool:
    """Whether every part of the reply was delivered."""
    row = next((row for row in history.replies if row["id"] == reply), None)
    return row is None or row["status"] == "sent"
