"""What waits minutes in production, and has no setting since nobody should change it, waits less in a child of the zygote."""

from collections.abc import Mapping
from datetime import timedelta

from handlers import reconciling

LEFT_TO_THE_WEBHOOK_SECONDS = "HARNESS_LEFT_TO_THE_WEBHOOK_SECONDS"
"""How young a message is that the clock's reconciler leaves to the webhook."""


def hasten(environment: Mapping[str, str]) -> None:
    """As the environment says, in this process."""
    if LEFT_TO_THE_WEBHOOK_SECONDS in environment:
        reconciling.LEFT_TO_THE_WEBHOOK = timedelta(  # type: ignore[attr-defined]  # it stands there as imported
            seconds=float(environment[LEFT_TO_THE_WEBHOOK_SECONDS])
        )
