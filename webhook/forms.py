"""
From a posted form to what the log keeps of it.

Twilio's signature cannot tell merged or repeated fields from honest ones, so every field that is interpreted here must stand in
the form once. Fields unknown here are kept: Twilio adds some without notice.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain, takewhile
from urllib.parse import parse_qsl, unquote_plus

from streams.events import Media, MessageReceived, MessageStatusChanged
from streams.partitions import thread_of
from streams.thread_token import open_
from webhook.readable import kind_of, readable_body

MOST_FIELDS = 256
"""A message has about 40."""

MOST_MEDIA = 10

Form = Mapping[str, tuple[str, ...]]

_ACCOUNT = "AccountSid"
_NUL, _REPLACEMENT = "\x00", "\N{REPLACEMENT CHARACTER}"

_SID = re.compile(r"[A-Za-z0-9]{1,34}")
_ADDRESS = re.compile(r"whatsapp:(\+[0-9]{1,20}|(?!\+)[!-{}~]{1,128})")
"""A phone, or anything printable such as a business-scoped user id; never the `|` that joins the addresses of a thread."""
_PHONE = re.compile(r"whatsapp:\+([0-9]+)")
_STATUS = re.compile(r"[a-z][a-z_-]{0,31}")
_CODE = re.compile(r"[0-9]{1,9}")
_ATTEMPT = re.compile(r"[!-~]{1,128}")
_MEDIA_URL = re.compile(r"https?://[!-~]{1,2000}")

_SINGLE_IN_MESSAGES = ("Body", "MessageType", "NumMedia", "ProfileName", "ButtonText", "ButtonPayload", "ListTitle", "ListId",
                       "Latitude", "Longitude", "Address", "Label", "OriginalRepliedMessageSid")  # fmt: skip
_SINGLE_IN_STATUSES = ("ErrorCode",)


class MalformedForm(ValueError):
    """The body cannot be what Twilio sends; `reason` and the names in `fields` are safe to log, values are not kept."""

    def __init__(self, reason: str, *fields: str) -> None:
        super().__init__(f"{reason}: {', '.join(fields)}" if fields else reason)
        self.reason = reason
        self.fields = fields


def read_form(body: bytes) -> Form:
    """
    Decode a form as it was signed, blank and repeated fields included. Raises `MalformedForm`.

    It reads what `urllib.parse.parse_qsl` reads, in half its time, which was a sixth of the webhook's.
    """
    if body.count(b"&") >= MOST_FIELDS:
        raise MalformedForm("too many fields")
    try:
        pairs = (pair.partition("=") for pair in body.decode().split("&") if pair)
        return _gathered((_unquoted(name), _unquoted(value)) for name, _, value in pairs)
    except UnicodeDecodeError:
        raise MalformedForm("not UTF-8") from None


def storable(form: Form) -> Form:
    """The form as Postgres can hold it: NUL becomes the replacement character, after the signature was checked."""
    if _NUL not in "".join(chain(form, *form.values())):
        return form
    return _gathered((_without_nul(name), _without_nul(value)) for name, values in form.items() for value in values)


def message_received(form: Form, account: str) -> tuple[str, MessageReceived]:
    """The thread and the event of an inbound message. Raises `MalformedForm`."""
    _require_account(form, account)
    sid = _required(form, "MessageSid", _SID)
    contact = _required(form, "From", _ADDRESS)
    thread = thread_of(_required(form, "To", _ADDRESS), contact)
    single = _single(form, _SINGLE_IN_MESSAGES)
    media = _media(form)
    kind = kind_of(single, media)
    return thread, MessageReceived(
        sid=sid,
        kind=kind,
        body=readable_body(kind, single),
        profile_name=single.get("ProfileName"),
        media=media,
        choice=single.get("ButtonPayload") or single.get("ListId"),
        reply_to_sid=_matching(single.get("OriginalRepliedMessageSid"), _SID),
        form=dict(form),
    )


def contradicts_itself(form: Form) -> bool:
    """
    Whether the contact's number, which Twilio tells twice, is another one the second time: a sign of a form cut anew.

    It is no proof: WhatsApp writes some numbers in two ways, with or without a 9 in Brazil and Argentina, or a 1 in Mexico,
    between the country and the last eight digits; there may be others. So such a message is told of, and kept.
    """
    number = _PHONE.fullmatch(next(iter(form.get("From", ())), ""))
    wa_id = next(iter(form.get("WaId", ())), "")
    return number is not None and wa_id.isdecimal() and not _may_be_one_number(number[1], wa_id)


def message_status_changed(form: Form, query: bytes, account: str, secret: str) -> tuple[str, MessageStatusChanged]:
    """
    The thread and the event of a status callback, for a message known here or not. Raises `MalformedForm`.

    The callback address that we gave tells the thread, by a sealed token, and the attempt. Where it does not, the addresses in
    the form tell the thread.
    """
    _require_account(form, account)
    sid, status = _required(form, "MessageSid", _SID), _required(form, "MessageStatus", _STATUS)
    single = _single(form, _SINGLE_IN_STATUSES)
    asked = _gathered(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    code = _matching(single.get("ErrorCode"), _CODE)
    return _thread_of_status(form, asked, secret), MessageStatusChanged(
        sid=sid,
        status=status,
        error_code=int(code) if code else None,
        attempt=_matching(_once(asked, "attempt"), _ATTEMPT),
        form=dict(form),
    )


def _thread_of_status(form: Form, asked: Form, secret: str) -> str:
    token = _once(asked, "thread")
    thread = open_(token, secret) if token else None
    return thread or thread_of(_required(form, "From", _ADDRESS), _required(form, "To", _ADDRESS))


def _gathered(pairs: Iterable[tuple[str, str]]) -> Form:
    form: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        form[name] = (*form[name], value) if name in form else (value,)
    return form


def _unquoted(text: str) -> str:
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def _without_nul(text: str) -> str:
    return text.replace(_NUL, _REPLACEMENT)


def _require_account(form: Form, account: str) -> None:
    if form.get(_ACCOUNT) != (account,):
        raise MalformedForm("not of our account", _ACCOUNT)


def _may_be_one_number(one: str, other: str) -> bool:
    is_written_in_two_ways = min(len(one), len(other)) >= 10 and abs(len(one) - len(other)) == 1
    return one == other or (is_written_in_two_ways and (one[:2], one[-8:]) == (other[:2], other[-8:]))


def _required(form: Form, name: str, shape: re.Pattern[str]) -> str:
    match form.get(name, ()):
        case ():
            raise MalformedForm("missing", name)
        case (value,) if shape.fullmatch(value):
            return value
        case (_,):
            raise MalformedForm("not of its shape", name)
        case _:
            raise MalformedForm("given more than once", name)


def _single(form: Form, names: tuple[str, ...]) -> dict[str, str]:
    """The fields of these names that are not blank."""
    repeated = [name for name in names if len(form.get(name, ())) > 1]
    if repeated:
        raise MalformedForm("given more than once", *repeated)
    return {name: form[name][0] for name in names if name in form and form[name][0].strip()}


def _once(form: Form, name: str) -> str | None:
    values = form.get(name, ())
    return values[0] if len(values) == 1 else None


def _matching(value: str | None, shape: re.Pattern[str]) -> str | None:
    return value if value is not None and shape.fullmatch(value) else None


def _media(form: Form) -> tuple[Media, ...]:
    given = takewhile(lambda number: f"MediaUrl{number}" in form, range(MOST_MEDIA))
    return tuple(
        Media(url=url, content_type=_once(form, f"MediaContentType{number}") or "application/octet-stream")
        for number in given
        if (url := _matching(_once(form, f"MediaUrl{number}"), _MEDIA_URL)) is not None
    )
