"""Webhooks that come too often, again, or never; and what was never acknowledged is known."""

import socket

import aiohttp
import pytest

from tests.simulator.stand_in import ACCOUNT_SID, ANA, SENDER, Door, StandIn, eventually, opened_door, running, settings


async def unacknowledged(stand_in: StandIn) -> list[str]:
    return [message["body"] for message in (await stand_in.phone())["sent"] if not message["is_acknowledged"]]


async def test_what_is_never_posted_is_listed_and_known_as_not_acknowledged(stand_in: StandIn, door: Door) -> None:
    await stand_in.break_down(inbound={"lost": 2})
    lost = [await stand_in.write(body=body) for body in ("one", "two")]
    await stand_in.write(body="three")
    assert [written["webhook_status"] for written in lost] == [None, None]
    assert [post.form["Body"] for post in door.posts] == ["three"]
    assert [message.body for message in await stand_in.twilio.messages.list_async(to=SENDER)] == ["three", "two", "one"]
    assert await unacknowledged(stand_in) == ["one", "two"]
    dropped = await stand_in.entries("message_dropped")
    assert [(entry["sid"], entry["details"]["reason"]) for entry in dropped] == [(each["sid"], "never posted") for each in lost]


async def test_messages_are_lost_while_the_rate_says_so(stand_in: StandIn, door: Door) -> None:
    await stand_in.break_down(inbound={"lost_rate": 1.0})
    for number in range(5):
        await stand_in.write(body=str(number))
    await stand_in.break_down()
    await stand_in.write(body="healed")
    assert [post.form["Body"] for post in door.posts] == ["healed"]
    assert await stand_in.control("GET", "tally") == {"inbound.lost": 5}


async def test_a_message_that_nobody_took_is_known_as_not_acknowledged(stand_in: StandIn, door: Door) -> None:
    door.script = [503, "close", 200]
    for body in ("refused", "broken", "taken"):
        await stand_in.write(body=body)
    assert await unacknowledged(stand_in) == ["refused", "broken"]
    assert [entry["details"]["reason"] for entry in await stand_in.entries("message_dropped")] == ["not taken", "not taken"]


async def test_an_answer_of_the_wrong_type_is_an_acknowledgement(stand_in: StandIn, door: Door) -> None:
    door.content_type = "application/json"
    await stand_in.write(body="Oi")
    assert await unacknowledged(stand_in) == []


async def test_a_door_that_is_shut_is_tried_by_the_rules_and_then_the_fallback_takes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shut = f"http://127.0.0.1:{listener.getsockname()[1]}/inbound"
    async with (
        opened_door() as second,
        running(settings(inbound_url=f"{shut}#rc=3", fallback_url=f"{second.url}/fallback")) as stand_in,
    ):
        written = await stand_in.write(body="Oi")
        assert written["webhook_status"] == 200
        [post] = second.posts
        assert (post.form["ErrorCode"], post.form["ErrorUrl"]) == ("11205", shut)
        [failed] = await stand_in.entries("webhook_failed")
        assert (failed["details"]["attempts"], failed["details"]["is_acknowledged"]) == (4, False)
        assert await unacknowledged(stand_in) == []
        assert await stand_in.entries("message_dropped") == []


@pytest.mark.parametrize("after_seconds", [0.0, 0.2])
async def test_duplicates_are_one_message_posted_several_times(stand_in: StandIn, door: Door, after_seconds: float) -> None:
    await stand_in.break_down(inbound={"duplicate_rate": 1.0, "copies": 4, "copies_after_seconds": after_seconds})
    written = await stand_in.write(body="Oi")
    assert len(written["webhooks"]) == (1 if after_seconds else 4)
    await eventually(lambda: len(door.posts) == 4)
    assert {post.form["MessageSid"] for post in door.posts} == {written["sid"]}
    assert len(await stand_in.twilio.messages.list_async()) == 1
    [happened] = await stand_in.entries("fault_happened")
    assert (happened["sid"], happened["details"]) == (written["sid"], {"fault": "inbound.duplicate", "copies": 4})


async def test_duplicates_are_open_at_the_same_moment(stand_in: StandIn, door: Door) -> None:
    await stand_in.break_down(inbound={"duplicate_rate": 1.0, "copies": 3})
    door.script = ["hang"] * 3
    await stand_in.write(body="Oi", wait=False)
    await eventually(lambda: len(door.posts) == 3)


async def test_a_replay_is_the_old_request_to_the_letter(stand_in: StandIn, door: Door) -> None:
    first = await stand_in.write(body="one")
    await stand_in.write(body="two")
    outcome = await stand_in.control("POST", f"messages/{first['sid']}/replays")
    assert outcome["status"] == 200
    original, _, replayed = door.posts
    assert (replayed.form, replayed.path) == (original.form, original.path)
    for name in ("X-Twilio-Signature", "I-Twilio-Idempotency-Token"):
        assert replayed.headers[name] == original.headers[name]


async def test_older_messages_are_posted_again_at_a_rate(stand_in: StandIn, door: Door) -> None:
    await stand_in.break_down(inbound={"replay_rate": 1.0})
    for number in range(6):
        await stand_in.write(body=str(number))
    await eventually(lambda: len(door.posts) == 11)
    replays = [entry["sid"] for entry in await stand_in.entries("fault_happened")]
    assert len(replays) == 5
    assert set(replays) <= {post.form["MessageSid"] for post in door.posts}


async def test_nothing_unknown_is_replayed(stand_in: StandIn) -> None:
    async with stand_in.http.post(f"{stand_in.url}/simulator/messages/SM1/replays") as response:
        assert response.status == 404


async def test_an_inbound_message_is_listed_with_all_that_a_reconciliation_needs(stand_in: StandIn) -> None:
    written = await stand_in.write(body="a caption", type="image")
    await stand_in.write(body="to another sender", to="whatsapp:+14155230000")
    [message] = await stand_in.twilio.messages.list_async(to=SENDER)
    assert (message.sid, message.direction, message.status) == (written["sid"], "inbound", "received")
    assert (message.from_, message.to, message.body, message.num_media) == (ANA, SENDER, "a caption", "1")
    assert message.date_created == message.date_sent
    path = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message.sid}/Media.json"
    assert message.subresource_uris == {"media": path}
    [media] = await stand_in.twilio.messages(message.sid).media.list_async()
    assert media.content_type == "image/jpeg"


async def test_a_replay_is_for_this_machine_only(door: Door) -> None:
    async with running(settings(inbound_url=door.url)) as stand_in:
        written = await stand_in.write(body="Oi")
        url = f"{stand_in.url}/simulator/messages/{written['sid']}/replays"
        async with aiohttp.ClientSession() as http, http.post(url, headers={"Sec-Fetch-Site": "cross-site"}) as response:
            assert response.status == 403
