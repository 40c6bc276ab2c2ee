"""Who may use the phone page: pages of its own address, in a browser on this machine."""

import socket
from typing import Any

import pytest

from tests.simulator.stand_in import ACCOUNT_SID, ANA, SENDER, StandIn, authorization

MARK = {"X-Requested-With": "phone"}
SAID = {"contact": ANA, "name": "Ana", "press": "text", "text": "Oi"}
ACTS: dict[str, dict[str, Any]] = {
    "messages": SAID,
    "switches": {"name": "inbound.duplicate_rate", "to": 0},
    "switches/off": {},
    "receipts": {"contact": ANA, "has_read_receipts": False},
    "clock": {"minutes": 20},
    "acts": {"contact": ANA, "act": "close"},
}


async def post(stand_in: StandIn, path: str, body: Any, **headers: str) -> int:
    async with stand_in.http.post(f"{stand_in.url}{path}", json=body, headers=headers) as response:
        return response.status


async def look(stand_in: StandIn, path: str = "/", **headers: str) -> int:
    async with stand_in.http.get(f"{stand_in.url}{path}", headers=headers) as response:
        return response.status


async def test_the_page_itself_may_write(stand_in: StandIn) -> None:
    assert await post(stand_in, "/phone/messages", SAID, **MARK, Origin=stand_in.url, **{"Sec-Fetch-Site": "same-origin"}) == 204
    assert [written["body"] for written in (await stand_in.phone())["sent"]] == ["Oi"]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**MARK, "Origin": "https://evil.example"}, 403),
        ({**MARK, "Origin": "null"}, 403),
        ({**MARK, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**MARK, "Sec-Fetch-Site": "same-site"}, 403),
        ({**MARK, "Host": "evil.example:9000"}, 421),
        ({"X-Requested-With": "XMLHttpRequest"}, 403),
    ],
    ids=["origin", "null origin", "cross-site", "another port", "rebound name", "no mark"],
)
async def test_no_other_site_may_act(stand_in: StandIn, act: str, headers: dict[str, str], status: int) -> None:
    before = await stand_in.entries()
    assert await post(stand_in, f"/phone/{act}", ACTS[act], **headers) == status
    assert await stand_in.entries() == before


async def test_every_act_of_the_page_is_tried_here(stand_in: StandIn) -> None:
    from simulator.phone.page import acts

    assert {route.path.removeprefix("/phone/") for route in acts.routes} == ACTS.keys()  # type: ignore[attr-defined]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str)
async def test_no_other_site_may_use_the_control_plane(stand_in: StandIn, headers: dict[str, str]) -> None:
    assert await post(stand_in, "/simulator/faults", {}, **headers) == 403
    assert await look(stand_in, "/simulator/phones", **headers) == 403


@pytest.mark.parametrize("path", ["/", "/phone/live", "/simulator/phones"])
async def test_a_name_that_was_made_to_point_here_sees_nothing(stand_in: StandIn, path: str) -> None:
    assert await look(stand_in, path, Host="evil.example:9000") == 421


API = f"/2010-04-01/Accounts/{ACCOUNT_SID}"


@pytest.mark.parametrize("path", [f"{API}.json", f"{API}/Messages.json", "/cdn/MM1/ME1", "/phone/static/phone.js", "/nothing"])
async def test_no_route_answers_to_a_foreign_name_even_with_the_right_credentials(stand_in: StandIn, path: str) -> None:
    assert await look(stand_in, path, **authorization(), Host="evil.example:9000") == 421


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str)
async def test_no_other_site_may_use_the_api_even_with_the_right_credentials(stand_in: StandIn, headers: dict[str, str]) -> None:
    form = {"To": ANA, "From": SENDER, "Body": "Oi"}
    url = f"{stand_in.url}{API}/Messages.json"
    async with stand_in.http.post(url, data=form, headers={**authorization(), **headers}) as response:
        assert response.status == 403
    assert await look(stand_in, f"{API}/Messages.json", **authorization(), **headers) == 403
    assert await stand_in.entries() == []


@pytest.mark.parametrize(
    "host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", "simulator:9000", "phones.localhost", "LocalHost"]
)
async def test_its_own_names_are_known(stand_in: StandIn, host: str) -> None:
    assert await look(stand_in, Host=host) == 200


async def test_the_machine_is_known_by_its_own_name(stand_in: StandIn) -> None:
    assert await look(stand_in, Host=f"{socket.gethostname()}:9000") == 200


@pytest.mark.parametrize(
    "host",
    [
        "com",
        "evil:9000",
        "evil.com",
        "localhost.evil.com",
        "evillocalhost",
        "[::1].evil.com",
        "[::1%25evil]",
        "[127.0.0.1]",
        "::1",
        "evil%2ecom",
        "127.0.0.1/evil.com",
        "evil.com@127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "127.0.0.01",
        "127.0.0.1:",
        "127.0.0.1:9000:1",
        "localhost.",
        "localhost_",
        "",
    ],
)
async def test_a_name_that_a_stranger_may_own_or_that_is_no_name_is_refused(stand_in: StandIn, host: str) -> None:
    assert await look(stand_in, Host=host) == 421


async def test_a_link_from_elsewhere_leads_to_the_page(stand_in: StandIn) -> None:
    assert await look(stand_in, **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}) == 200


async def test_no_other_site_may_follow_what_is_said(stand_in: StandIn) -> None:
    assert await look(stand_in, "/phone/live", **{"Sec-Fetch-Site": "cross-site"}) == 403


@pytest.mark.parametrize("path", ["/", "/phone/static/phone.js", "/phone/static/phone.css"])
async def test_the_page_says_what_the_browser_may_do(stand_in: StandIn, path: str) -> None:
    async with stand_in.http.get(f"{stand_in.url}{path}") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        body = await response.text()
    if path == "/":
        assert body.count("<script") == 1
        assert " style=" not in body
        assert "<style" not in body


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("messages", {**SAID, "contact": "whatsapp:<b>"}),
        ("messages", {**SAID, "press": "shout"}),
        ("messages", {**SAID, "text": "x" * 4097}),
        ("switches", {"name": "nothing", "to": 0}),
        ("switches", {"name": "inbound.duplicate_rate", "to": 7}),
        ("clock", {"minutes": -1}),
        ("acts", {"contact": ANA, "act": "bribe"}),
    ],
)
async def test_what_no_button_says_is_refused(stand_in: StandIn, act: str, body: Any) -> None:
    assert await post(stand_in, f"/phone/{act}", body, **MARK) == 422
