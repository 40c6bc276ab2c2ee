"""
The door: what Twilio posts becomes events in the log.

`webhook.app` is the ASGI application, built from the environment when it is first asked for; importing this package does nothing.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    app: ASGIApp


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streams.errors import ConfigurationError
    from webhook.door import door_from_environment
    from webhook.ending import exit_code

    try:
        door = door_from_environment()
    except ConfigurationError as error:
        print(f"prosa webhook: {'; '.join(str(error).splitlines())}", file=sys.stderr)  # noqa: T201 - the last word of a process
        raise SystemExit(exit_code(error)) from None
    globals()["app"] = door
    return door
