"""The simulated model as a server that speaks OpenAI's protocol."""

import asyncio
import json
import re
import socket
import time
from typing import Any

import pytest

from simulator.body_limit import MOST_BYTES
from tests.simulator.stand_in import ANA, StandIn, running, settings

KEY = {"Authorization": "Bearer any"}
ASKED: dict[str, Any] = {"model": "simulated", "messages": [{"role": "user", "content": "Oi"}]}
REPLY = {"type": "function", "function": {"name": "reply", "parameters": {"properties": {"text": {"type": "string"}}}}}


async def ask(stand_in: StandIn, asked: Any = None, **headers: str) -> tuple[int, bytes]:
    body = json.dumps(ASKED if asked is None else asked) if not isinstance(asked, bytes) else asked
    url = f"{stand_in.url}/model/v1/chat/completions"
    async with stand_in.http.post(url, data=body, headers={**KEY, **headers}) as response:
        return response.status, await response.read()


async def said(stand_in: StandIn, asked: Any = None) -> Any:
    status, body = await ask(stand_in, asked)
    assert status == 200, body
    return json.loads(body)["choices"][0]


async def test_the_same_question_gets_the_same_answer(stand_in: StandIn) -> None:
    assert await ask(stand_in) == await ask(stand_in)
    assert (await said(stand_in))["message"]["content"] == "I am a simulated model.\nYou said: “Oi”."


async def test_an_answer_goes_through_the_tool_that_takes_a_text(stand_in: StandIn) -> None:
    other = {"type": "function", "function": {"name": "search", "parameters": {"properties": {"query": {}}}}}
    choice = await said(stand_in, {**ASKED, "tools": [other, REPLY]})
    [call] = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], call["function"]["name"]) == ("tool_calls", "reply")
    assert json.loads(call["function"]["arguments"])["text"].endswith("You said: “Oi”.")
    assert "tool_calls" not in (await said(stand_in, {**ASKED, "tools": [other]}))["message"]


async def test_parts_of_a_message_are_read_and_only_the_last_one_is_answered(stand_in: StandIn) -> None:
    content = [{"type": "text", "text": "um\ndois"}, {"type": "image_url"}, {"type": "text", "text": "três"}]
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "before"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": content},
    ]
    lines = (await said(stand_in, {**ASKED, "messages": messages}))["message"]["content"].split("\n")
    assert lines[1:] == ["You sent 3 messages:", "1. “um”", "2. “dois”", "3. “três”", "Before that you said: “before”."]


async def test_every_call_stands_in_the_ledger_without_a_word(stand_in: StandIn) -> None:
    for content in ("a secret", "a secret", "another"):
        await ask(stand_in, {**ASKED, "messages": [{"role": "user", "content": content}]})
    entries = await stand_in.entries("model_asked")
    questions = [entry["details"]["question"] for entry in entries]
    assert (len(questions), len(set(questions))) == (3, 2)
    assert questions[0] == questions[1]
    assert "secret" not in json.dumps(entries)


async def test_models_are_listed(stand_in: StandIn) -> None:
    async with stand_in.http.get(f"{stand_in.url}/model/v1/models", headers=KEY) as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["simulated"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi"])
async def test_any_key_will_do_but_there_must_be_one(stand_in: StandIn, header: str) -> None:
    status, body = await ask(stand_in, Authorization=header)
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
    assert await stand_in.entries("model_asked") == []


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff\xfe",
        [],
        {},
        {"model": "m"},
        {"model": 1, "messages": []},
        {"model": "m", "messages": {}},
        {"model": "m", "messages": ["x"]},
        {**ASKED, "stream": True},
        {**ASKED, "tools": {"function": 1}},
        {**ASKED, "tools": ["x"]},
        {**ASKED, "tools": [{"function": {"name": 1, "parameters": {"properties": {}}}}]},
        {**ASKED, "messages": [{"role": "user", "content": "\ud83d"}]},
    ],
)
async def test_what_is_no_request_is_refused(stand_in: StandIn, asked: Any) -> None:
    status, body = await ask(stand_in, asked)
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")


async def test_odd_messages_are_answered_all_the_same(stand_in: StandIn) -> None:
    odd: list[list[Any]] = [
        [],
        [{}],
        [{"role": "user"}],
        [{"role": "user", "content": 7}],
        [{"role": "user", "content": [1, {}]}],
    ]
    for messages in odd:
        assert "nothing" in (await said(stand_in, {**ASKED, "messages": messages}))["message"]["content"]


async def test_it_is_guarded_as_everything_here(stand_in: StandIn) -> None:
    assert (await ask(stand_in, Host="evil.example"))[0] == 421
    assert (await ask(stand_in, Origin="https://evil.example"))[0] == 403
    assert (await ask(stand_in, b"x" * (MOST_BYTES + 1)))[0] == 413


async def test_a_busy_model_says_when_to_come_back(stand_in: StandIn) -> None:
    await stand_in.break_down(model={"429": 1, "retry_after_seconds": 9})
    url = f"{stand_in.url}/model/v1/chat/completions"
    async with stand_in.http.post(url, json=ASKED, headers=KEY) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "9")


async def test_a_reset_comes_in_the_middle_of_the_body(stand_in: StandIn) -> None:
    await stand_in.break_down(model={"reset_midway": 1})
    body = json.dumps(ASKED)
    head = f"POST /model/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {KEY['Authorization']}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    received = await asyncio.to_thread(read_until_reset, int(stand_in.url.rsplit(":", 1)[1]), request)
    answered, half = received.split(b"\r\n\r\n", 1)
    promised = int(re.findall(rb"(?i)content-length: (\d+)", answered)[0])
    assert answered.startswith(b"HTTP/1.1 200")
    assert len(half) == promised // 2


def read_until_reset(port: int, request: bytes) -> bytes:
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        while True:
            try:
                chunk = connection.recv(65536)
            except ConnectionResetError:
                return received
            assert chunk, "an orderly end"
            received += chunk


async def test_faults_have_the_shape_that_they_are_called_by(stand_in: StandIn) -> None:
    await stand_in.break_down(model={"empty": 1})
    assert (await said(stand_in))["message"]["content"] == ""
    await stand_in.break_down(model={"megabyte": 1})
    assert 1_000_000 <= len((await ask(stand_in))[1]) < 1_100_000
    await stand_in.break_down(model={"tool_calls": 1})
    [call] = (await said(stand_in))["message"]["tool_calls"]
    assert call["function"]["name"] == "look_up"
    await stand_in.break_down(model={"not_json": 1})
    with pytest.raises(json.JSONDecodeError):
        json.loads((await ask(stand_in))[1])
    await stand_in.break_down(model={"slow": 1, "slow_seconds": 0.3})
    began = time.monotonic()
    assert (await said(stand_in))["message"]["content"].endswith("“Oi”.")
    assert time.monotonic() - began >= 0.3


async def test_a_call_that_nobody_waits_for_any_more_ends(stand_in: StandIn) -> None:
    await stand_in.break_down(model={"hang": 1})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await ask(stand_in)
    assert (await ask(stand_in))[0] == 200


async def test_calls_fail_at_a_rate_by_the_seed(stand_in: StandIn) -> None:
    planned = {"seed": 4, "model": {"rates": {"500": 0.4, "429": 0.2}}}
    runs = []
    for _ in range(2):
        await stand_in.break_down(**planned)
        runs.append([(await ask(stand_in))[0] for _ in range(25)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 429, 500}


async def test_the_model_changes_nothing_on_a_phone() -> None:
    async with running(settings()) as stand_in:
        await stand_in.write(ANA, body="Oi")
        before = await stand_in.phone(ANA)
        await ask(stand_in)
        after = await stand_in.phone(ANA)
        assert {**before, "last": 0} == {**after, "last": 0}
