"""The list of messages fails too: a reconciliation has to notice that it did not see everything."""

import asyncio
import json

import aiohttp
import pytest

from tests.simulator.stand_in import ACCOUNT_SID, StandIn, authorization

URI = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


async def listed(stand_in: StandIn) -> tuple[int, bytes]:
    async with stand_in.http.get(stand_in.url + URI, headers=authorization()) as response:
        return response.status, await response.read()


@pytest.mark.parametrize(("fault", "status", "code"), [("429", 429, 20429), ("500", 500, 20500)])
async def test_the_next_pages_are_refused_and_no_more(stand_in: StandIn, fault: str, status: int, code: int) -> None:
    await stand_in.break_down(listing={fault: 2})
    for _ in range(2):
        found, body = await listed(stand_in)
        assert (found, json.loads(body)["code"]) == (status, code)
    assert (await listed(stand_in))[0] == 200
    assert await stand_in.control("GET", "tally") == {f"listing.{fault}": 2}


async def test_a_garbled_page_is_half_of_one_with_status_200(stand_in: StandIn) -> None:
    await stand_in.write(body="Oi")
    _, whole = await listed(stand_in)
    await stand_in.break_down(listing={"garbled": 1})
    status, half = await listed(stand_in)
    assert (status, half) == (200, whole[: len(whole) // 2])
    with pytest.raises(json.JSONDecodeError):
        json.loads(half)


async def test_a_page_is_broken_off_or_never_comes(stand_in: StandIn) -> None:
    await stand_in.break_down(listing={"reset": 2})  # the client asks once more by itself
    with pytest.raises(aiohttp.ClientOSError):
        await listed(stand_in)
    await stand_in.break_down(listing={"hang": 1})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await listed(stand_in)
    assert (await listed(stand_in))[0] == 200


async def test_pages_fail_at_a_rate_in_the_middle_of_a_walk(stand_in: StandIn) -> None:
    await stand_in.break_down(seed=5, listing={"rates": {"500": 0.5}})
    first = [(await listed(stand_in))[0] for _ in range(20)]
    await stand_in.break_down(seed=5, listing={"rates": {"500": 0.5}})
    assert [(await listed(stand_in))[0] for _ in range(20)] == first
    assert {200, 500} == set(first)


async def test_the_first_page_is_of_the_same_filter(stand_in: StandIn) -> None:
    await stand_in.write(body="Oi")
    query = {"To": "whatsapp:+14155238886", "DateSent>": "2020-01-01", "PageSize": "1"}
    async with stand_in.http.get(stand_in.url + URI, params=query, headers=authorization()) as response:
        page = await response.json()
    async with stand_in.http.get(stand_in.url + page["first_page_uri"], headers=authorization()) as response:
        again = await response.json()
    assert again["messages"] == page["messages"] != []
    assert "DateSent" in again["uri"]
