"""Forms as Twilio posts them, signed by Twilio's own library: a witness that shares no code with what it checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_TOKEN
from webhook.door import MESSAGES_PATH, STATUS_PATH

BASE_URL = "https://prosa.example.com"
SENDER = "whatsapp:+14155238886"
CONTACT = "whatsapp:+5511900000001"
SID = "SM" + "8" * 32
FORM_TYPE = "application/x-www-form-urlencoded"

Pairs = Sequence[tuple[str, str]]

TEXT = {
    "SmsMessageSid": SID, "NumMedia": "0", "ProfileName": "Ana", "MessageType": "text", "SmsSid": SID, "WaId": "5511900000001",
    "SmsStatus": "received", "Body": "Olá, tudo bem?", "To": SENDER, "NumSegments": "1", "ReferralNumMedia": "0",
    "MessageSid": SID, "AccountSid": DEVELOPMENT_ACCOUNT, "From": CONTACT, "ApiVersion": "2010-04-01",
    "ExternalUserId": "whatsapp:BR.4566546130240823",
    "ChannelMetadata": '{"type":"whatsapp","data":{"context":{"ProfileName":"Ana","WaId":"5511900000001"}}}',
}  # fmt: skip
STATUS = {
    "SmsSid": SID, "SmsStatus": "sent", "MessageStatus": "sent", "ChannelToAddress": "+5511900XXXX", "To": CONTACT,
    "ChannelPrefix": "whatsapp", "MessageSid": SID, "AccountSid": DEVELOPMENT_ACCOUNT, "StructuredMessage": "false",
    "From": SENDER, "ApiVersion": "2010-04-01", "ChannelInstallSid": "XE" + "1" * 32,
}  # fmt: skip


@dataclass(frozen=True)
class Post:
    """One request, ready to be sent."""

    path: str
    body: bytes
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class _Repeated(dict[str, str]):
    """Form pairs as Twilio's library wants repeated ones."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def getlist(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]


def signature(pairs: Pairs, url: str, token: str = DEVELOPMENT_TOKEN, algorithm: str = "HMAC_SHA1") -> str:
    signed = RequestValidator(token).compute_signature(url, _Repeated(pairs), algorithm)
    assert isinstance(signed, str)
    return signed


def is_valid_for_twilio(params: Mapping[str, str], url: str, signed: str, token: str) -> bool:
    return bool(RequestValidator(token).validate(url, params, signed))


def signed(path: str, pairs: Pairs, query: str = "", base: str = BASE_URL, token: str = DEVELOPMENT_TOKEN) -> Post:
    """A post that Twilio could have sent."""
    url = f"{base}{path}{'?' if query else ''}{query}"
    headers = {"content-type": FORM_TYPE, "x-twilio-signature": signature(pairs, url, token)}
    return Post(path, urlencode(pairs).encode(), query, headers)


def message(**fields: str) -> Post:
    """A signed inbound message: the text message, with these fields changed."""
    return signed(MESSAGES_PATH, list({**TEXT, **fields}.items()))


def status(query: str = "", **fields: str) -> Post:
    """A signed status callback: `sent`, with these fields changed."""
    return signed(STATUS_PATH, list({**STATUS, **fields}.items()), query)
