"""
The door: what Twilio posts becomes events in the log.

`webhook.app` is the ASGI application, built from the environment when it is first asked for; importing this package does nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    app: ASGIApp


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streams.errors import ConfigurationError
    from webhook.door import door_from_environment

    try:
        door = door_from_environment()
    except ConfigurationError as error:
        raise SystemExit(f"prosa webhook: {'; '.join(str(error).splitlines())}") from None
    globals()["app"] = door
    return door
