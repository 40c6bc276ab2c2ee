"""The list of messages: filters, pages, newest first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from simulator.errors import invalid_parameter
from simulator.messages import Message, Messages

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

Filter = Callable[[Message], bool]


@dataclass(frozen=True, slots=True)
class Page:
    messages: list[Message]
    number: int
    size: int
    next_query: str | None
    """None on the last page."""


def page_of(messages: Messages, query: Mapping[str, str], is_listed: Filter) -> Page:
    """
    A page token holds the ordinal of the last message shown: what arrives meanwhile shifts no page.

    A page number without a token counts from the newest message, as it is now.
    """
    size = min(_whole(query, "PageSize", DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE) or 1
    number = _whole(query, "Page", 0)
    older_than = _ordinal(query.get("PageToken"))
    filters = [is_listed, *_filters(query)]
    skipped = 0 if older_than is not None else number * size
    found: list[tuple[int, Message]] = []
    for ordinal, message in messages.newest_first(older_than):
        if not all(matches(message) for matches in filters):
            continue
        if skipped:
            skipped -= 1
        elif len(found) == size:
            following = {**query, "PageSize": size, "Page": number + 1, "PageToken": f"PA{found[-1][0]}"}
            return Page([message for _, message in found], number, size, urlencode(following))
        else:
            found.append((ordinal, message))
    return Page([message for _, message in found], number, size, None)


def _filters(query: Mapping[str, str]) -> list[Filter]:
    filters: list[Filter] = []
    if to := query.get("To"):
        filters.append(lambda message: message.recipient == to)
    if sender := query.get("From"):
        filters.append(lambda message: message.sender == sender)
    if "DateSent" in query:
        begin, end = _moment(query, "DateSent")
        filters.append(lambda message: begin <= int(message.dated_at) < end)
    if "DateSent>" in query:
        earliest, _ = _moment(query, "DateSent>")
        filters.append(lambda message: int(message.dated_at) >= earliest)
    if "DateSent<" in query:
        latest, _ = _moment(query, "DateSent<")
        filters.append(lambda message: int(message.dated_at) <= latest)
    return filters


def _moment(query: Mapping[str, str], name: str) -> tuple[float, float]:
    """A day or a second of GMT: its beginning and its end."""
    text = query[name]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_parameter(name) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    length = timedelta(days=1) if len(text) == len("2026-11-21") else timedelta(seconds=1)
    return moment.timestamp(), (moment + length).timestamp()


def _ordinal(token: str | None) -> int | None:
    if token is None:
        return None
    digits = token.removeprefix("PA")
    if not (digits.isascii() and digits.isdigit()):
        raise invalid_parameter("PageToken")
    return int(digits)


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise invalid_parameter(name)
    return int(text)
