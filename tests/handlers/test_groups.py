"""How the settings become rules for the handlers."""

from typing import Any

import pytest

from handlers.call_twilio import LEASE_MARGIN_SECONDS
from handlers.groups import build_groups, grace_seconds, manner, twilio_client
from handlers.respond import Responder
from handlers.send import Sender
from settings import Settings


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def test_absence_proves_nothing_before_the_call_has_ended_and_the_set_time_has_passed() -> None:
    assert grace_seconds(settings(lease_seconds=10, twilio_timeout_seconds=5, send_proof_seconds=60)) == 75


@pytest.mark.parametrize("lease", [1, 2, 10, 60])
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_a_lease_that_was_just_renewed_outlives_a_call(lease: float, limit: float) -> None:
    client = twilio_client(settings(lease_seconds=lease, twilio_timeout_seconds=limit))
    renewed_each = lease / 4
    assert client.timeout_seconds + LEASE_MARGIN_SECONDS <= lease - renewed_each
    assert client.timeout_seconds <= limit


def test_a_failure_sentence_is_sent_as_it_can_be_sent_or_not_at_all() -> None:
    assert manner(settings(ai_failure_sentence=" Sorry.\r\nLater. ")).failure_sentence == "Sorry.\nLater."
    assert manner(settings(ai_failure_sentence="none")).failure_sentence is None
    long = manner(settings(ai_failure_sentence="x" * 5000)).failure_sentence
    assert long is not None
    assert len(long) == 1600


def test_a_message_is_overlooked_only_after_its_turn_would_have_ended() -> None:
    set_ = settings(ai_turn_timeout_seconds=90, reply_quiet_seconds=1)
    assert manner(set_).overlooked_after_ms > 91_000


async def test_each_group_knows_what_its_ticks_find() -> None:
    """Where a killer is looked for a tick is not handled as one thing, and what nobody finds nobody handles."""
    groups = build_groups(settings(), on_fatal=lambda _: None)
    found_by = [getattr(attempts._find, "__func__", None) for attempts in (groups.respond, groups.send)]
    assert found_by == [Responder.overlooked, Sender.overlooked]
