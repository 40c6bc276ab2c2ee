"""The phones alone tell whether each message was answered once and in order: the offline responder quotes what it answers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.harness.allowed import Allowed, Fate
from tests.harness.history import Accepted, History, Written
from tests.harness.quotes import answered_in, remembered_in

UNDELIVERED = frozenset({"failed", "undelivered"})


def everybody_in(history: History) -> list[str]:
    return sorted({each.contact for each in history.written} | {each.contact for each in history.accepted})


def of_one_phone(history: History, contact: str, fates: Mapping[str, Sequence[Fate]], allowed: Allowed) -> Iterator[str]:
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
