"""A message that Twilio lists becomes what its webhook would have made of it, or is named as unreadable."""

from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.listed_inbound import LONGEST_FIELD, ListedInbound, event_of, files_of, read_inbound
from streams.events import MessageReceived
from streams.partitions import thread_of
from tests.handlers.twilio_list import ACCOUNT, ANA, SENDER
from webhook.forms import MalformedForm, message_received

SID = "SM" + "1" * 32
WHEN = datetime(2026, 11, 20, 10, 0, 5, tzinfo=UTC)
TOLD = "Fri, 20 Nov 2026 10:00:05 +0000"


def resource(**changes: Any) -> dict[str, Any]:
    return {
        "sid": SID,
        "account_sid": ACCOUNT,
        "body": "Olá",
        "date_created": TOLD,
        "date_sent": TOLD,
        "direction": "inbound",
        "from": ANA,
        "to": SENDER,
        "num_media": "0",
        "status": "received",
        **changes,
    }


def read(given: Any) -> ListedInbound:
    found = read_inbound(given, sender=SENDER, account=ACCOUNT)
    assert found is not None
    return found


def event(given: Any, *media: tuple[str, str]) -> MessageReceived:
    return event_of(read(given), media, ACCOUNT)


def test_a_text_reads_as_its_webhook_would() -> None:
    form = {"AccountSid": ACCOUNT, "MessageSid": SID, "From": ANA, "To": SENDER, "Body": "Olá", "NumMedia": "0"}
    thread, by_webhook = message_received({name: (value,) for name, value in form.items()}, ACCOUNT)
    assert read(resource()).thread == thread == thread_of(SENDER, ANA)
    assert event(resource()).model_dump(exclude={"form"}) == by_webhook.model_dump(exclude={"form"})


def test_its_time_is_twilios_date() -> None:
    assert read(resource()).written_at == WHEN
    assert read(resource(date_created="Fri, 20 Nov 2026 07:00:05 -0300")).written_at == WHEN


@pytest.mark.parametrize("missing", [None, "", "yesterday", 5, "Fri, 99 Nov 2026 10:00:05 +0000"])
def test_where_the_creation_is_not_dated_the_sending_is_told(missing: Any) -> None:
    assert read(resource(date_created=missing)).written_at == WHEN


def test_a_date_without_a_zone_is_utc_wherever_this_runs() -> None:
    assert read(resource(date_created="Fri, 20 Nov 2026 10:00:05 -0000")).written_at == WHEN


def test_a_contact_may_be_known_by_a_user_id_alone() -> None:
    assert read(resource(**{"from": "whatsapp:BR.1A2B3C"})).thread == thread_of(SENDER, "whatsapp:BR.1A2B3C")


def test_an_image_keeps_its_caption_and_where_it_is() -> None:
    found = event(resource(body="this", num_media="1"), ("https://api.twilio.com/x/Media/ME1", "image/jpeg"))
    assert (found.kind, found.body) == ("image", "[image] this")
    assert [(each.url, each.content_type) for each in found.media] == [("https://api.twilio.com/x/Media/ME1", "image/jpeg")]


def test_a_message_whose_files_are_gone_says_that_it_had_some() -> None:
    assert event(resource(body="this", num_media="1")).body == "[unsupported message: media] this"


def test_what_postgres_and_json_cannot_hold_becomes_a_replacement_character() -> None:
    found = event(resource(body="a\x00b\ud800c"))
    assert found.body == "a\ufffdb\ufffdc"
    found.model_dump_json()
    assert "\ud800" not in str(found.form)


def test_an_empty_body_reads_as_one() -> None:
    assert event(resource(body="")).body == "[empty message]"


@pytest.mark.parametrize("direction", ["outbound-api", "outbound-reply", None, 7])
def test_what_is_not_inbound_is_passed_over(direction: Any) -> None:
    assert read_inbound(resource(direction=direction), sender=SENDER, account=ACCOUNT) is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "SM1",
        resource(sid=None),
        resource(sid="SM" + "1" * 40),
        resource(sid="../../Accounts"),
        resource(account_sid="AC" + "2" * 32),
        resource(account_sid=None),
        resource(to="whatsapp:+15550000000"),
        resource(to=None),
        resource(**{"from": None}),
        resource(**{"from": "whatsapp:+55|whatsapp:+1"}),
        resource(**{"from": "+5511900000001"}),
        resource(date_created=None, date_sent=None),
        resource(body="x" * (LONGEST_FIELD + 1)),
        resource(num_segments="1" * (LONGEST_FIELD + 1)),
    ],
)
def test_what_cannot_be_a_message_to_us_is_refused(given: Any) -> None:
    with pytest.raises(MalformedForm):
        read_inbound(given, sender=SENDER, account=ACCOUNT)


def test_a_refusal_names_fields_and_never_what_stands_in_them() -> None:
    with pytest.raises(MalformedForm) as refused:
        read(resource(**{"from": "whatsapp: 5511900000001"}))
    assert "5511900000001" not in str(refused.value)


def test_of_a_list_of_files_only_what_is_one_counts() -> None:
    entries = [{"sid": "ME1", "content_type": "image/png"}, {"sid": "../x"}, None, {"sid": "ME2", "content_type": "no type"}]
    assert files_of(entries) == [("ME1", "image/png"), ("ME2", "application/octet-stream")]
