"""Everything that can be set about the stand-in, in one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SANDBOX_SENDER = "whatsapp:+14155238886"


@dataclass(frozen=True, slots=True)
class StageDelays:
    """How long a message that was accepted takes from each stage to the next, in seconds."""

    sent_seconds: float = 0.2
    delivered_seconds: float = 0.3
    read_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class ApiKey:
    sid: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """
    One Twilio account with one WhatsApp sender.

    inbound_url is where inbound messages are posted; its fragment may override the connection rules (`#ct=2000&rc=3`). It is also
    the url that is signed, unless inbound_public_url says otherwise. rewrites maps the beginning of a public url to the beginning
    of the local one that it is posted to; what is signed stays the public one.

    The ledger's file, if any, brings messages and phones back after a restart.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    api_key: ApiKey | None = None
    sender: str = SANDBOX_SENDER
    messaging_service_sid: str | None = None
    inbound_url: str | None = None
    inbound_public_url: str | None = None
    fallback_url: str | None = None
    status_default_url: str | None = None
    cdn_url: str | None = None
    """Where media redirect to: another host, as at Twilio. By default it is a path of this one."""
    rewrites: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    """Approved templates: ContentSid to text, in which {{1}} stands for a variable."""
    has_advanced_opt_out: bool = False
    """Whether STOP and its like opt a contact out; Twilio does so for a messaging service only."""
    delays: StageDelays = StageDelays()
    window_hours: float = 24.0
    seed: int = 0
    is_control_open: bool = False
    """Whether others than this machine may write as a contact, plan faults and so on; nobody is asked who they are."""
    ledger_path: Path | None = None
