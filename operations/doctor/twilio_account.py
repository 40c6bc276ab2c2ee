"""Twilio's credentials: their form, and on request one harmless call with them."""

import re
from collections.abc import Iterator, Sequence

from handlers.groups import twilio_client
from handlers.twilio_answers import TwilioDenied, TwilioRefused, TwilioUnavailable
from handlers.twilio_client import TWILIO_API_URL
from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from settings import DEVELOPMENT_ACCOUNT, DEVELOPMENT_TOKEN, Settings

_ACCOUNT = re.compile("AC[0-9a-f]{32}")
_TOKEN = re.compile("[0-9a-f]{32}")
CONSOLE = "copy it from Twilio's console"


async def twilio_account(system: System) -> Sequence[Finding]:
    settings = system.settings
    if settings.twilio_api_url != TWILIO_API_URL:
        found = error if system.is_production else None
        sentence = "TWILIO_API_URL is a stand-in: no contact gets a message."
        remedy = f"leave TWILIO_API_URL out, or set it to {TWILIO_API_URL}"
        return [found(Group.CONFIGURED, sentence, remedy) if found else well(Group.CONFIGURED, sentence)]
    if settings.twilio_account_sid == DEVELOPMENT_ACCOUNT:
        sentence = "Twilio is not connected: TWILIO_ACCOUNT_SID is the default."
        remedy = "set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_SENDER, or run with the simulator: prosa dev"
        return [warning(Group.MISSING, sentence, remedy)]
    return list(_malformed(settings)) or [well(Group.CONFIGURED, f"Twilio's credentials look right{_rotation(settings)}.")]


async def twilio_call(system: System) -> Sequence[Finding]:
    twilio = twilio_client(system.settings)
    try:
        status = await twilio.account_status()
    except TwilioDenied:
        sentence = "Twilio refuses TWILIO_ACCOUNT_SID with the first TWILIO_AUTH_TOKEN."
        return [error(Group.REACHABLE, sentence, "copy both from Twilio's console; while rotating, the valid token comes first")]
    except TwilioRefused as refused:
        return [error(Group.REACHABLE, f"Twilio does not know TWILIO_ACCOUNT_SID: {refused}.", CONSOLE)]
    except TwilioUnavailable as away:
        remedy = "look whether this machine reaches TWILIO_API_URL; status.twilio.com"
        return [error(Group.REACHABLE, f"Twilio does not answer: {away}.", remedy)]
    finally:
        await twilio.close()
    if status != "active":
        return [error(Group.REACHABLE, f"The account at Twilio is {status}.", "look at it in Twilio's console")]
    return [well(Group.REACHABLE, "Twilio takes the credentials, and the account is active.")]


def _malformed(settings: Settings) -> Iterator[Finding]:
    if not _ACCOUNT.fullmatch(settings.twilio_account_sid):
        yield error(Group.CONFIGURED, "TWILIO_ACCOUNT_SID is not AC and 32 hexadecimal digits.", CONSOLE)
    for number, token in enumerate(settings.twilio_auth_token, 1):
        if token.get_secret_value() == DEVELOPMENT_TOKEN:
            yield error(Group.MISSING, "TWILIO_AUTH_TOKEN is the default.", CONSOLE)
        elif not _TOKEN.fullmatch(token.get_secret_value()):
            which = f"Token {number} of TWILIO_AUTH_TOKEN" if len(settings.twilio_auth_token) > 1 else "TWILIO_AUTH_TOKEN"
            yield warning(Group.CONFIGURED, f"{which} is not 32 hexadecimal digits, as Twilio's are.", CONSOLE)


def _rotation(settings: Settings) -> str:
    count = len(settings.twilio_auth_token)
    return f"; {count} tokens sign webhooks, and calls are made with the first" if count > 1 else ""
