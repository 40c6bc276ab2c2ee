"""Forged and malformed posts leave nothing in the log."""

from dataclasses import replace
from hashlib import sha256
from urllib.parse import urlencode

import pytest

from tests.webhook.logs import FaultyLog
from tests.webhook.posts import BASE_URL, FORM_TYPE, SID, TEXT, Post, message, signature, signed
from tests.webhook.serving import Client
from webhook.door import MESSAGES_PATH, STATUS_PATH

pytestmark = pytest.mark.asyncio(loop_scope="module")


# ----------------------------------------------------------------------------------------------------------- forged


def forged() -> dict[str, Post]:
    good = message()
    pairs = list(TEXT.items())
    hash_query = f"bodySHA256={sha256(good.body).hexdigest()}"
    signed_address = signature([], f"{BASE_URL}{MESSAGES_PATH}?{hash_query}")

    def with_signature(value: str) -> Post:
        return replace(good, headers={**good.headers, "x-twilio-signature": value})

    def with_headers(**headers: str) -> Post:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(signed(MESSAGES_PATH, pairs, base="https://evil.example.com"), headers={**good.headers, **names})

    wrong_host = signed(MESSAGES_PATH, pairs, base="https://evil.example.com")
    return {
        "no signature": replace(good, headers={"content-type": FORM_TYPE}),
        "empty": with_signature(""),
        "short": with_signature(good.headers["x-twilio-signature"][:-2]),
        "not ascii": with_signature("çççç"),
        "wrong": with_signature("A" * 27 + "="),
        "wrong token": signed(MESSAGES_PATH, pairs, token="another token"),
        "http": signed(MESSAGES_PATH, pairs, base=BASE_URL.replace("https", "http")),
        "other port": signed(MESSAGES_PATH, pairs, base=BASE_URL + ":8443"),
        "other path": replace(signed(STATUS_PATH, pairs), path=MESSAGES_PATH),
        "other host, told by Host": replace(wrong_host, headers={**wrong_host.headers, "host": "evil.example.com"}),
        "other host, told by a proxy": replace(
            wrong_host, headers={**wrong_host.headers, "x-forwarded-host": "evil.example.com", "x-forwarded-proto": "https"}
        ),
        "changed text": replace(good, body=good.body.replace(b"tudo", b"nada")),
        "field added": replace(good, body=good.body + b"&x=1"),
        "field renamed": replace(good, body=good.body.replace(b"NumMedia", b"Nummedia")),
        "query added": replace(good, query="x=1"),
        "hash of the body, signed with the address, as a form": Post(
            MESSAGES_PATH, good.body, hash_query, {"content-type": FORM_TYPE, "x-twilio-signature": signed_address}
        ),
        "as json": replace(good, headers={**good.headers, "content-type": "application/json"}),
        "as multipart": replace(good, headers={**good.headers, "content-type": "multipart/form-data; boundary=x"}),
        "of no type": replace(good, headers={"x-twilio-signature": good.headers["x-twilio-signature"]}),
        "unknown algorithm": replace(
            good, headers={**good.headers, "x-twilio-webhooks-signature-settings": "key=k,algorithm=NONE"}
        ),
        "empty body": replace(good, body=b""),
    }


@pytest.mark.parametrize("name", forged())
async def test_a_forged_post_is_refused_and_leaves_nothing(client: Client, event_log: FaultyLog, name: str) -> None:
    answer = await client.post(forged()[name])
    assert answer.status == 403
    assert event_log.events == []


async def test_a_reordered_form_is_the_same_form(client: Client) -> None:
    good = message()
    backwards = urlencode(list(reversed(TEXT.items()))).encode()
    assert (await client.post(replace(good, body=backwards))).status == 200


async def test_the_public_address_is_configured_and_not_believed(client: Client, event_log: FaultyLog) -> None:
    good = message()
    spoofed = {
        "host": "evil.example.com",
        "x-forwarded-host": "evil.example.com",
        "x-forwarded-proto": "http",
        "forwarded": "host=evil",
    }
    assert (await client.post(replace(good, headers={**good.headers, **spoofed}))).status == 200
    assert len(event_log.events) == 1


# -------------------------------------------------------------------------------------------------------- malformed


def malformed() -> dict[str, Post]:
    pairs = list(TEXT.items())
    body = b'{"MessageSid": "SM1"}'
    query = f"bodySHA256={sha256(body).hexdigest()}"
    address_signature = signature([], f"{BASE_URL}{MESSAGES_PATH}?{query}")
    swallowed = sorted(TEXT)[sorted(TEXT).index("Body") : sorted(TEXT).index("From") + 1]
    merged = {name: value for name, value in TEXT.items() if name not in swallowed}
    merged["ApiVersion"] += "".join(name + TEXT[name] for name in swallowed)
    return {
        "a required field twice": signed(MESSAGES_PATH, [*pairs, ("MessageSid", SID)]),
        "fields merged into one": replace(message(), body=urlencode(merged).encode()),
        "no sender": signed(MESSAGES_PATH, [pair for pair in pairs if pair[0] != "From"]),
        "another account": message(AccountSid="AC" + "9" * 32),
        "not UTF-8": replace(message(), body=b"Body=%FF"),
        "signed json": Post(
            MESSAGES_PATH, body, query, {"content-type": "application/json", "x-twilio-signature": address_signature}
        ),
        "too many fields": signed(MESSAGES_PATH, [*pairs, *((f"x{n}", "") for n in range(300))]),
    }


@pytest.mark.parametrize("name", malformed())
async def test_a_malformed_form_is_refused_and_leaves_nothing(client: Client, event_log: FaultyLog, name: str) -> None:
    post = malformed()[name]
    answer = await client.post(post)
    assert answer.status == 400
    assert event_log.events == []
