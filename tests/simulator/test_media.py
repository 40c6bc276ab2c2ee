"""Media need credentials at the API and get none at the CDN."""

from base64 import b64encode

from tests.simulator.stand_in import ANA, Door, StandIn, authorization, running, settings


async def test_media_are_downloaded_through_a_redirect(stand_in: StandIn, door: Door) -> None:
    content = bytes(range(256))
    await stand_in.write(type="image", media={"content_type": "image/png", "content": b64encode(content).decode()})
    async with stand_in.http.get(door.posts[0].form["MediaUrl0"], headers=authorization(), allow_redirects=False) as response:
        assert response.status == 302
        location = response.headers["Location"]
    async with stand_in.http.get(location) as response:
        assert (response.status, response.content_type, await response.read()) == (200, "image/png", content)


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
