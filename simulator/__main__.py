"""`python -m simulator`: the stand-in as a process. Secrets come from the environment, the rest from the command line."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.serving import serve
from simulator.settings import SANDBOX_SENDER, ApiKey, SimulatorSettings, StageDelays
from simulator.twilio_api import create_app


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A stand-in for Twilio. TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN come from the environment; "
        "TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET may.",
    )
    delays = StageDelays()
    add = result.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=9000)
    add("--sender", default=SANDBOX_SENDER, help="our WhatsApp address")
    add("--messaging-service-sid", help="the messaging service that creates may name")
    add("--inbound-url", help="where inbound messages are posted; a fragment overrides the connection rules")
    add("--inbound-public-url", help="the url that is signed, where it differs")
    add("--fallback-url", help="where an inbound message goes when the webhook failed")
    add("--status-url", help="where statuses go that have no callback of their own")
    add("--cdn-url", help="the host that media redirect to")
    add("--rewrite", action="append", default=[], type=rewrite, metavar="PUBLIC=LOCAL", help="post PUBLIC... to LOCAL...")
    add("--advanced-opt-out", action="store_true", help="STOP opts a contact out")
    add("--sent-after", type=float, default=delays.sent_seconds, metavar="SECONDS")
    add("--delivered-after", type=float, default=delays.delivered_seconds, metavar="SECONDS")
    add("--read-after", type=float, default=delays.read_seconds, metavar="SECONDS")
    add("--window-hours", type=float, default=24.0, help="how long a contact may be answered freely")
    add("--seed", type=int, default=0, help="of the faults")
    add("--open-control", action="store_true", help="for a container: let whoever reaches the port do what Twilio does not have")
    add("--ledger", type=Path, help="the file that brings messages back after a restart")
    return result


def rewrite(text: str) -> tuple[str, str]:
    public, separator, local = text.partition("=")
    if not (public and separator and local):
        raise argparse.ArgumentTypeError("give PUBLIC=LOCAL")
    return public, local


def settings_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> SimulatorSettings:
    """Raise KeyError with the name of a variable that is missing or empty. Of several tokens the first one signs."""
    given = {name: value for name, value in environment.items() if value}
    api_key = None
    if "TWILIO_API_KEY_SID" in given:
        api_key = ApiKey(given["TWILIO_API_KEY_SID"], given["TWILIO_API_KEY_SECRET"])
    return SimulatorSettings(
        account_sid=given["TWILIO_ACCOUNT_SID"],
        auth_token=given["TWILIO_AUTH_TOKEN"].split(",")[0].strip(),
        api_key=api_key,
        sender=arguments.sender,
        messaging_service_sid=arguments.messaging_service_sid,
        inbound_url=arguments.inbound_url,
        inbound_public_url=arguments.inbound_public_url,
        fallback_url=arguments.fallback_url,
        status_default_url=arguments.status_url,
        cdn_url=arguments.cdn_url,
        rewrites=dict(arguments.rewrite),
        has_advanced_opt_out=arguments.advanced_opt_out,
        delays=StageDelays(arguments.sent_after, arguments.delivered_after, arguments.read_after),
        window_hours=arguments.window_hours,
        seed=arguments.seed,
        is_control_open=arguments.open_control,
        ledger_path=arguments.ledger,
    )


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        settings = settings_of(arguments, os.environ)
    except KeyError as missing:
        sys.stderr.write(f"{missing.args[0]} is not set\n")
        return 2
    serve(create_app(settings), arguments.host, arguments.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
