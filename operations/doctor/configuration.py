"""The settings themselves: every problem at once, and durations that do not go together."""

from collections.abc import Iterator, Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from settings import Settings, StreamEngine
from settings.env_file import ENV_FILE


async def configuration(system: System) -> Sequence[Finding]:
    problems = [
        error(Group.CONFIGURED, f"{problem}.", f"set {problem.name}; docs/configuration.md says what it accepts")
        for problem in system.problems
        if problem.name != str(ENV_FILE)  # it has a check of its own
    ]
    found = [*problems, *_unavailable(system.settings), *_unbalanced(system.settings)]
    return found or [well(Group.CONFIGURED, f"All settings can be read, for {system.settings.environment}.")]


def _unavailable(settings: Settings) -> Iterator[Finding]:
    if settings.stream_engine is not StreamEngine.REDIS:
        yield error(
            Group.CONFIGURED, f"This version has no engine {settings.stream_engine} for the log.", "set STREAM_ENGINE=redis"
        )


def _unbalanced(settings: Settings) -> Iterator[Finding]:
    half_a_lease = settings.lease_seconds / 2
    if settings.twilio_timeout_seconds > half_a_lease:
        yield warning(
            Group.CONFIGURED,
            f"Calls to Twilio end after {half_a_lease:g} s, half of LEASE_SECONDS, and not after TWILIO_TIMEOUT_SECONDS.",
            f"set LEASE_SECONDS to {2 * settings.twilio_timeout_seconds:g} or more",
        )
    for shorter, longer, what in (
        ("ai_request_timeout_seconds", "ai_turn_timeout_seconds", "One request to a model may take longer than a whole answer"),
        ("retry_base_seconds", "retry_max_seconds", "The first wait between two tries is longer than the longest"),
        (
            "conversation_idle_timeout_minutes",
            "conversation_expiration_minutes",
            "Conversations expire before they are idle",
        ),
    ):
        if getattr(settings, shorter) > getattr(settings, longer):
            yield warning(Group.CONFIGURED, f"{what}.", f"set {longer.upper()} above {shorter.upper()}")
