"""Media need credentials at the API and get none at the CDN."""

import stat
from base64 import b64encode
from pathlib import Path

import pytest

from tests.simulator.stand_in import ANA, Door, StandIn, authorization, running, settings


async def test_media_are_downloaded_through_a_redirect(stand_in: StandIn, door: Door) -> None:
    content = bytes(range(256))
    await stand_in.write(type="image", media={"content_type": "image/png", "content": b64encode(content).decode()})
    async with stand_in.http.get(door.posts[0].form["MediaUrl0"], headers=authorization(), allow_redirects=False) as response:
        assert response.status == 302
        location = response.headers["Location"]
    async with stand_in.http.get(location) as response:
        assert (response.status, response.content_type, await response.read()) == (200, "image/png", content)


async def location_of(stand_in: StandIn, door: Door, content_type: str) -> str:
    await stand_in.write(type="document", media={"content_type": content_type, "content": "AAAA"})
    async with stand_in.http.get(door.posts[0].form["MediaUrl0"], headers=authorization(), allow_redirects=False) as response:
        return response.headers["Location"]


@pytest.mark.parametrize("content_type", ["text/javascript", "application/javascript", "text/html", "text/css", "image/svg+xml"])
async def test_what_could_act_in_a_browser_is_only_saved(stand_in: StandIn, door: Door, content_type: str) -> None:
    """The page may load scripts from its own address, and the media are there too."""
    async with stand_in.http.get(await location_of(stand_in, door, content_type)) as response:
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("content_type", ["image/webp", "audio/ogg; codecs=opus"])
async def test_what_is_seen_or_heard_is_shown(stand_in: StandIn, door: Door, content_type: str) -> None:
    async with stand_in.http.get(await location_of(stand_in, door, content_type)) as response:
        assert response.headers["Content-Type"] == content_type
        assert "Content-Disposition" not in response.headers


async def test_media_without_credentials_are_refused(stand_in: StandIn, door: Door) -> None:
    await stand_in.write(type="image")
    async with stand_in.http.get(door.posts[0].form["MediaUrl0"], allow_redirects=False) as response:
        assert response.status == 401


async def test_the_cdn_refuses_a_client_that_gives_its_credentials_away(stand_in: StandIn, door: Door) -> None:
    await stand_in.write(type="image")
    # A redirect inside one host keeps the header.
    async with stand_in.http.get(door.posts[0].form["MediaUrl0"], headers=authorization()) as response:
        assert (response.status, response.url.path[:5]) == (400, "/cdn/")


async def test_the_cdn_can_be_another_host(door: Door) -> None:
    async with running(settings(inbound_url=door.url, cdn_url="https://cdn.example.com")) as stand_in:
        await stand_in.write(type="voice")
        url = door.posts[0].form["MediaUrl0"]
        async with stand_in.http.get(url, headers=authorization(), allow_redirects=False) as response:
            assert response.headers["Location"].startswith("https://cdn.example.com/cdn/MM")


async def test_the_twilio_client_lists_fetches_and_deletes_media(stand_in: StandIn, door: Door) -> None:
    sid = (await stand_in.write(type="voice"))["sid"]
    [media] = await stand_in.twilio.messages(sid).media.list_async()
    assert (media.parent_sid, media.content_type) == (sid, "audio/ogg")
    assert (await stand_in.twilio.messages(sid).media(media.sid).fetch_async()).sid == media.sid
    assert await stand_in.twilio.messages(sid).media(media.sid).delete_async()
    assert await stand_in.twilio.messages(sid).media.list_async() == []
    async with stand_in.http.get(door.posts[0].form["MediaUrl0"], headers=authorization()) as response:
        assert response.status == 404


async def test_media_that_we_send_redirect_to_where_they_are(stand_in: StandIn) -> None:
    await stand_in.write()
    sent = await stand_in.send("look", media_url=["https://example.com/a.png"])
    assert [message["media"] for message in await stand_in.received(1, ANA)] == [["https://example.com/a.png"]]
    [media] = await stand_in.twilio.messages(sent.sid).media.list_async()
    assert media.content_type == "image/png"
    url = stand_in.url + media.uri.removesuffix(".json")
    async with stand_in.http.get(url, headers=authorization(), allow_redirects=False) as response:
        assert response.headers["Location"] == "https://example.com/a.png"


async def test_no_other_user_of_the_machine_reads_what_contacts_sent(tmp_path: Path) -> None:
    folder = tmp_path / "ledger.media"
    folder.mkdir(mode=0o755)
    async with running(settings(ledger_path=tmp_path / "ledger.jsonl")) as stand_in:
        await stand_in.write(type="voice")
        [content] = folder.iterdir()
        assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, content)] == [0o700, 0o600]
    fresh = tmp_path / "fresh" / "ledger.jsonl"
    async with running(settings(ledger_path=fresh)) as stand_in:
        await stand_in.write(type="voice")
        assert stat.S_IMODE(fresh.with_suffix(".media").stat().st_mode) == 0o700
