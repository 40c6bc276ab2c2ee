"""How to read what the offline responder says. It quotes what it answers, and the message that came before."""

import re

QUOTE = re.compile(r"“([^”]*)”")
BEFORE = "Before that"


def answered_in(reply: str) -> list[str]:
    """The messages that it quotes, except the one from before."""
    return [quote for line in reply.split("\n") if not line.startswith(BEFORE) for quote in QUOTE.findall(line)]


def remembered_in(reply: str) -> str | None:
    """The message that came before, if the reply remembers one."""
    return next((quote for line in reply.split("\n") if line.startswith(BEFORE) for quote in QUOTE.findall(line)), None)
