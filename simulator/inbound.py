"""What a contact can send, and the form that Twilio makes of it. Fields as captured from Twilio."""

import json
from base64 import b64decode
from typing import Annotated, Any

from pydantic import Field, field_validator

from simulator.addresses import is_contact, is_phone, user_id_of, without_channel
from simulator.media import CONTENT_TYPES, sample
from simulator.messages import API_VERSION, Message
from simulator.phones import opt_out_type
from simulator.request_model import RequestModel

MIME_TYPE = r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?[A-Za-z0-9_-]+=[A-Za-z0-9_.+-]+)*$"
SHORT_NAMES = {"voice": "audio", "contact": "contacts", "list": "interactive"}


class Attachment(RequestModel):
    """Content is base64; without it a small sample of the type is sent."""

    content_type: Annotated[str, Field(pattern=MIME_TYPE, max_length=200)]
    content: str | None = None

    @field_validator("content")
    @classmethod
    def _is_base64(cls, content: str | None) -> str | None:
        if content is not None:
            b64decode(content)
        return content

    def content_bytes(self) -> bytes:
        return sample(self.content_type) if self.content is None else b64decode(self.content)


class Referral(RequestModel):
    """The click-to-WhatsApp ad that a contact came from."""

    ctwa_clid: str = "ARAbSimulatedClick"
    source_id: str = "120200000000000000"
    source_type: str = "ad"
    source_url: str = "https://fb.me/simulated"
    headline: str = ""
    body: str = ""


class InboundMessage(RequestModel):
    """
    One message from a contact.

    type is Twilio's MessageType, or `voice`, `contact` or `list` for short; any other word goes out as it is, for a type that is
    not known yet. extra adds or replaces raw form fields. copies posts the same webhook that many times at once.
    """

    sender: str = Field(alias="from")
    to: str | None = None
    body: str = ""
    type: str = "text"
    profile_name: str = "Ana"
    username: str | None = None
    media: Attachment | None = None
    latitude: float = -23.561684
    longitude: float = -46.655981
    address: str | None = None
    label: str | None = None
    button_text: str | None = None
    button_payload: str | None = None
    list_id: str | None = None
    list_title: str | None = None
    replied_sid: str | None = None
    referral: Referral | None = None
    is_forwarded: bool = False
    extra: dict[str, str] = Field(default_factory=dict)
    copies: int = Field(default=1, ge=1, le=100)
    wait: bool = True

    @field_validator("sender")
    @classmethod
    def _is_address(cls, sender: str) -> str:
        if not is_contact(sender):
            raise ValueError("not a WhatsApp address")
        return sender

    @property
    def message_type(self) -> str:
        return SHORT_NAMES.get(self.type, self.type)

    @property
    def text(self) -> str:
        """A tap on a button or a list item writes its title."""
        return self.body or self.button_text or self.list_title or ""

    @property
    def attachment(self) -> Attachment | None:
        """What was given, or the sample that goes with the type."""
        if self.media is None and self.message_type in CONTENT_TYPES:
            return Attachment(content_type=CONTENT_TYPES[self.message_type])
        return self.media


def inbound_form(inbound: InboundMessage, message: Message, account_sid: str, api_url: str) -> dict[str, str]:
    form = {
        "SmsMessageSid": message.sid,
        "NumMedia": str(len(message.media)),
        "ProfileName": inbound.profile_name,
        "MessageType": inbound.message_type,
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "Body": message.body,
        "To": message.recipient,
        "NumSegments": "1",
        "ReferralNumMedia": "0",
        "MessageSid": message.sid,
        "AccountSid": account_sid,
        "From": message.sender,
        "ApiVersion": API_VERSION,
    }
    form |= _identity(inbound)
    for index, media in enumerate(message.media):
        form[f"MediaContentType{index}"] = media.content_type
        form[f"MediaUrl{index}"] = f"{api_url}/{API_VERSION}/Accounts/{account_sid}/Messages/{message.sid}/Media/{media.sid}"
    form |= fields_of_type(inbound) | _context(inbound, message.recipient)
    form["ChannelMetadata"] = json.dumps({"type": "whatsapp", "data": {"context": _metadata(form)}}, separators=(",", ":"))
    return form | inbound.extra


def _identity(inbound: InboundMessage) -> dict[str, str]:
    """A contact who hides the phone is known by the business-scoped user id alone: no phone, no WaId."""
    if is_phone(inbound.sender):
        form = {"WaId": without_channel(inbound.sender).lstrip("+"), "ExternalUserId": user_id_of(inbound.sender)}
    else:
        form = {"ExternalUserId": inbound.sender}
    return form if inbound.username is None else form | {"ProfileUsername": inbound.username}


def fields_of_type(inbound: InboundMessage) -> dict[str, str]:
    """What goes with the type alone: a place, or what was tapped on."""
    match inbound.type:
        case "location":
            place = {"Latitude": str(inbound.latitude), "Longitude": str(inbound.longitude)}
            return place | _given({"Address": inbound.address, "Label": inbound.label})
        case "list":
            return {"ListTitle": inbound.text, "ListId": inbound.list_id or inbound.text}
        case "button" | "interactive":
            return {"ButtonText": inbound.text, "ButtonPayload": inbound.button_payload or inbound.text}
        case _:
            return {}


def _context(inbound: InboundMessage, recipient: str) -> dict[str, str]:
    form: dict[str, str] = {}
    if inbound.replied_sid is not None:
        form |= {"OriginalRepliedMessageSid": inbound.replied_sid, "OriginalRepliedMessageSender": recipient}
    if inbound.is_forwarded or inbound.type in {"button", "interactive", "list"}:
        form |= {"Forwarded": str(inbound.is_forwarded).lower(), "FrequentlyForwarded": "false"}
    if inbound.referral is not None:
        form |= _referral(inbound.referral)
    return form


def _referral(referral: Referral) -> dict[str, str]:
    return {
        "ReferralCtwaClid": referral.ctwa_clid,
        "ReferralSourceId": referral.source_id,
        "ReferralSourceType": referral.source_type,
        "ReferralSourceUrl": referral.source_url,
        "ReferralHeadline": referral.headline,
        "ReferralBody": referral.body,
    }


def opt_out_field(body: str) -> dict[str, str]:
    return _given({"OptOutType": opt_out_type(body)})


def _metadata(form: dict[str, str]) -> dict[str, Any]:
    return {name: form[name] for name in ("ProfileName", "WaId", "ExternalUserId") if name in form}


def _given(form: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in form.items() if value is not None}
