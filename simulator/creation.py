"""What makes a create acceptable to Twilio, and the code of what does not."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from simulator.addresses import is_contact
from simulator.errors import RestError, not_simulated
from simulator.phones import Phone
from simulator.request_model import has_lone_surrogate
from simulator.settings import SimulatorSettings

BODY_LIMIT = 1600
"""In UTF-16 units: an emoji counts two."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A create that passed."""

    recipient: str
    body: str
    media_urls: tuple[str, ...]
    messaging_service_sid: str | None
    status_callback: str | None
    is_template: bool


def parse_form(body: bytes) -> dict[str, list[str]]:
    return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)


def checked_draft(form: Mapping[str, list[str]], settings: SimulatorSettings) -> Draft:
    """Raise what Twilio would answer, in the order in which it looks."""
    recipient = _first(form, "To")
    _check_recipient(recipient)
    service_sid = _first(form, "MessagingServiceSid")
    _check_sender(_first(form, "From"), service_sid, recipient, settings)
    if "SendAt" in form or "ScheduleType" in form:
        raise not_simulated("SendAt")
    body = _body(form, settings)
    media_urls = tuple(url for url in form.get("MediaUrl", []) if url)
    _check_content(body, media_urls, service_sid)
    status_callback = _first(form, "StatusCallback")
    if status_callback and not _is_url(status_callback):
        raise RestError(400, 21609, "The StatusCallback URL is not a valid URL")
    return Draft(recipient, body, media_urls, service_sid or None, status_callback or None, bool(_first(form, "ContentSid")))


def check_phone(phone: Phone) -> None:
    if phone.is_opted_out:
        raise RestError(400, 21610, "Attempt to send to unsubscribed recipient")


def _check_recipient(recipient: str) -> None:
    if not recipient:
        raise RestError(400, 21604, "A 'To' phone number is required.")
    if recipient.startswith("whatsapp:"):
        if not is_contact(recipient):
            raise RestError(400, 21211, "The 'To' number is not a valid phone number.")
    elif not re.fullmatch(r"\+[1-9]\d{6,14}", recipient):
        raise RestError(400, 21211, "The 'To' number is not a valid phone number.")


def _check_sender(sender: str, service_sid: str, recipient: str, settings: SimulatorSettings) -> None:
    if service_sid and service_sid != settings.messaging_service_sid:
        raise RestError(400, 21701, "The Messaging Service does not exist.")
    if not sender and not service_sid:
        raise RestError(400, 21603, "A 'From' or 'MessagingServiceSid' parameter is required.")
    if sender and sender != settings.sender:
        if sender.startswith("whatsapp:"):
            raise RestError(400, 63007, "Twilio could not find a Channel with the specified From address")
        raise RestError(400, 21606, "The 'From' phone number is not a valid, message-capable phone number of this account.")
    if not recipient.startswith("whatsapp:"):
        raise RestError(400, 21910, "Invalid From and To pair. From and To should be of the same channel")
    if recipient == settings.sender:
        raise RestError(400, 63031, "Channel message cannot have same From and To")


def _body(form: Mapping[str, list[str]], settings: SimulatorSettings) -> str:
    variables = _variables(_first(form, "ContentVariables"))
    content_sid = _first(form, "ContentSid")
    if not content_sid:
        return _first(form, "Body")
    template = settings.templates.get(content_sid)
    if template is None:
        raise RestError(400, 21655, "The ContentSid is Invalid")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: variables.get(match[1], match[0]), template)


def _variables(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        variables = json.loads(text)
    except (ValueError, RecursionError):
        variables = None
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise RestError(400, 21656, "The ContentVariables Parameter is invalid")
    if has_lone_surrogate(variables):
        raise RestError(400, 21656, "The ContentVariables Parameter is invalid")
    return variables


def _check_content(body: str, media_urls: tuple[str, ...], service_sid: str) -> None:
    if len(body.encode("utf-16-le", "surrogatepass")) // 2 > BODY_LIMIT:
        raise RestError(400, 21617, "The concatenated message body exceeds the 1600 character limit")
    if not all(_is_url(url) for url in media_urls):
        raise RestError(400, 21620, "Invalid media URL(s)")
    if body.strip() or media_urls:
        return
    if service_sid:
        raise RestError(400, 21619, "A text message body or media urls must be specified.")
    raise RestError(400, 21602, "Message body is required.")


def _is_url(text: str) -> bool:
    url = urlsplit(text)
    return url.scheme in {"http", "https"} and bool(url.hostname)


def _first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
