"""The list is what a reconciliation reads: complete, newest first, in pages that do not shift."""

from datetime import UTC, datetime, timedelta

import pytest

from simulator.errors import RestError
from simulator.ledger import Kind, Ledger
from simulator.listing import page_of
from simulator.messages import Message, Messages
from tests.simulator.stand_in import ACCOUNT_SID, ANA, BIA, SENDER, StandIn, authorization

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC).timestamp()


async def page(stand_in: StandIn, uri: str) -> tuple[list[str], str | None]:
    async with stand_in.http.get(stand_in.url + uri, headers=authorization()) as response:
        found = await response.json()
    return [message["body"] for message in found["messages"]], found["next_page_uri"]


async def test_inbound_and_outbound_messages_are_listed_newest_first(stand_in: StandIn) -> None:
    inbound = (await stand_in.write(body="one"))["sid"]
    outbound = (await stand_in.send("two")).sid
    listed = await stand_in.twilio.messages.list_async()
    assert [(message.sid, message.direction) for message in listed] == [(outbound, "outbound-api"), (inbound, "inbound")]
    assert listed[1].status == "received"
    assert listed[1].date_sent is not None


async def test_the_client_walks_all_pages(stand_in: StandIn) -> None:
    for number in range(7):
        await stand_in.write(body=str(number))
    listed = await stand_in.twilio.messages.list_async(page_size=3)
    assert [message.body for message in listed] == ["6", "5", "4", "3", "2", "1", "0"]


async def test_what_arrives_meanwhile_shifts_no_page(stand_in: StandIn) -> None:
    for number in range(4):
        await stand_in.write(body=str(number))
    first, following = await page(
        stand_in, f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json?PageSize=2&From={ANA.replace('+', '%2B')}"
    )
    assert (first, following is not None) == (["3", "2"], True)
    await stand_in.write(body="4")
    await stand_in.write(BIA, body="5")
    assert following is not None
    assert await page(stand_in, following) == (["1", "0"], None)


async def test_the_list_is_filtered_by_both_ends(stand_in: StandIn) -> None:
    await stand_in.write(ANA, body="from Ana")
    await stand_in.write(BIA, body="from Bia")
    await stand_in.send("to Ana", ANA)
    listed = await stand_in.twilio.messages.list_async(from_=BIA)
    assert [message.body for message in listed] == ["from Bia"]
    listed = await stand_in.twilio.messages.list_async(to=ANA, from_=SENDER)
    assert [message.body for message in listed] == ["to Ana"]


async def test_the_client_filters_by_time(stand_in: StandIn) -> None:
    await stand_in.write(body="now")
    now = datetime.now(UTC)
    assert await stand_in.twilio.messages.list_async(date_sent_after=now + timedelta(minutes=1)) == []
    assert await stand_in.twilio.messages.list_async(date_sent_before=now - timedelta(minutes=1)) == []
    assert len(await stand_in.twilio.messages.list_async(date_sent_after=now - timedelta(minutes=1))) == 1


async def test_a_listing_delay_hides_what_was_just_accepted(stand_in: StandIn) -> None:
    await stand_in.break_down(listing_delay_seconds=3600)
    await stand_in.write(body="inbound")
    sent = await stand_in.send("outbound")
    assert [message.body for message in await stand_in.twilio.messages.list_async()] == ["inbound"]
    assert (await stand_in.twilio.messages(sent.sid).fetch_async()).sid == sent.sid
    await stand_in.break_down()
    assert [message.body for message in await stand_in.twilio.messages.list_async()] == ["outbound", "inbound"]


def messages_at(*times: float) -> Messages:
    ledger, messages = Ledger(), Messages()
    for number, at in enumerate(times):
        message = Message(f"SM{number}", "inbound", ANA, SENDER, "", "received", created_at=at, updated_at=at, sent_at=at)
        messages.apply(ledger.append(Kind.MESSAGE_WRITTEN, message.sid, message=message.to_json()))
    return messages


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"DateSent": "2026-11-21"}, ["SM3", "SM2", "SM1"]),
        ({"DateSent": "2026-11-21T00:00:00Z"}, ["SM1"]),
        ({"DateSent>": "2026-11-21"}, ["SM4", "SM3", "SM2", "SM1"]),
        ({"DateSent<": "2026-11-21"}, ["SM1", "SM0"]),
        ({"DateSent>": "2026-11-21T00:00:01Z", "DateSent<": "2026-11-21T23:59:59Z"}, ["SM3", "SM2"]),
        ({"Page": "1", "PageSize": "2"}, ["SM2", "SM1"]),
    ],
)
def test_dates_are_days_or_seconds_and_both_ends_count(query: dict[str, str], found: list[str]) -> None:
    messages = messages_at(MIDNIGHT - 1, MIDNIGHT + 0.5, MIDNIGHT + 1, MIDNIGHT + 86399.5, MIDNIGHT + 86400)
    page = page_of(messages, query, lambda _: True)
    assert [message.sid for message in page.messages] == found


@pytest.mark.parametrize("query", [{"DateSent": "yesterday"}, {"PageSize": "-1"}, {"Page": "x"}, {"PageToken": "PAx"}])
def test_a_bad_filter_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(RestError) as refusal:
        page_of(messages_at(), query, lambda _: True)
    assert (refusal.value.status, refusal.value.code) == (400, 20001)


def test_a_page_holds_a_thousand_at_most() -> None:
    page = page_of(messages_at(*[MIDNIGHT] * 1001), {"PageSize": "5000"}, lambda _: True)
    assert (len(page.messages), page.next_query is not None) == (1000, True)
