"""Twilio's names for things: two letters and 32 hexadecimal digits."""

import secrets


def new_sid(prefix: str) -> str:
    """Never the same twice, across restarts too: it is drawn from the system's randomness, not from the seed."""
    return prefix + secrets.token_hex(16)
