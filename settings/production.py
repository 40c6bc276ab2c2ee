"""What must not serve real contacts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from settings.sections import DEVELOPMENT_ACCOUNT, DEVELOPMENT_SECRET, DEVELOPMENT_TOKEN

if TYPE_CHECKING:
    from settings.reading import Settings

SHORTEST_SECRET = 32


def unsafe(settings: "Settings") -> Iterator[tuple[str, str]]:
    """The fields that production refuses, each with what is wrong with it: names, never values."""
    secret = settings.secret_key.get_secret_value()
    if secret == DEVELOPMENT_SECRET or len(secret) < SHORTEST_SECRET:
        yield "secret_key", f"is missing, the default, or shorter than {SHORTEST_SECRET} characters"
    tokens = [token.get_secret_value() for token in settings.twilio_auth_token]
    if any(token == DEVELOPMENT_TOKEN or len(token) < SHORTEST_SECRET for token in tokens):
        yield "twilio_auth_token", f"is missing, the default, or shorter than {SHORTEST_SECRET} characters"
    if settings.twilio_account_sid == DEVELOPMENT_ACCOUNT:
        yield "twilio_account_sid", "is missing"
    if not settings.public_base_url.startswith("https://"):
        yield "public_base_url", "is not an https address"
