"""
Posts forged by the thousand: nothing of them is stored, by the word of Twilio's own library.

That library says of every post whether its signature fits. It cannot tell a form from the same characters cut at other places,
which is a limit of the signature: of those too none may change who wrote, to whom, or which message it is.
"""

import hmac
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from settings import DEVELOPMENT_TOKEN
from streams.events import MessageReceived, MessageStatusChanged
from tests.webhook.asking import ask
from tests.webhook.logs import FaultyLog
from tests.webhook.posts import BASE_URL, CONTACT, FORM_TYPE, SENDER, SID, Post, message, signature, signed, status
from tests.webhook.serving import door_on
from webhook import signature as signature_module
from webhook.door import MESSAGES_PATH, STATUS_PATH
from webhook.signature import SignatureCheck, SignatureHeaders

FORGERIES = 12_000
SIGNATURE, ALGORITHM = "x-twilio-signature", "x-twilio-webhooks-signature-settings"

GENUINE = (
    message(),
    message(Body="a&b=c%20d+e\r\n\x00", ProfileName="=&%"),
    status("thread=x&attempt=01ARZ3NDEKTSV4RRFFQ69G5FAV", MessageStatus="delivered"),
)


def is_genuine(post: Post) -> bool:
    """By Twilio's own library, for the address that we told Twilio. What follows a `#` is no part of it."""
    if post.headers.get("content-type") != FORM_TYPE:
        return False
    try:
        pairs = parse_qsl(post.body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return False
    signed_query = post.query.partition("#")[0]
    query = f"?{signed_query}" if signed_query else ""
    algorithm = "HMAC_SHA256" if "SHA256" in post.headers.get(ALGORITHM, "") else "HMAC_SHA1"
    expected = signature(pairs, f"{BASE_URL}{post.path}{query}", DEVELOPMENT_TOKEN, algorithm)
    return expected == post.headers.get(SIGNATURE)


def forged(dice: random.Random) -> Post:
    post = dice.choice(GENUINE)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        post = dice.choice(FORGERS)(post, dice)
    return post


def _change_a_byte(post: Post, dice: random.Random) -> Post:
    at = dice.randrange(len(post.body) or 1)
    return replace(post, body=post.body[:at] + bytes([dice.randrange(256)]) + post.body[at + 1 :])


def _insert_a_byte(post: Post, dice: random.Random) -> Post:
    at = dice.randrange(len(post.body) + 1)
    return replace(post, body=post.body[:at] + dice.choice((b"&", b"=", b"+", b"%00", b"%", b"x", b";")) + post.body[at:])


def _drop_a_byte(post: Post, dice: random.Random) -> Post:
    at = dice.randrange(len(post.body) or 1)
    return replace(post, body=post.body[:at] + post.body[at + 1 :])


def _drop_a_field(post: Post, dice: random.Random) -> Post:
    pairs = post.body.split(b"&")
    pairs.pop(dice.randrange(len(pairs)))
    return replace(post, body=b"&".join(pairs))


def _double_a_field(post: Post, dice: random.Random) -> Post:
    pairs = post.body.split(b"&")
    name = dice.choice(pairs).partition(b"=")[0]
    return replace(post, body=b"&".join([*pairs, name + dice.choice((b"=", b"=x", b""))]))


def _merge_two_fields(post: Post, dice: random.Random) -> Post:
    at = [index for index, byte in enumerate(post.body) if byte in b"&="]
    return replace(post, body=bytes(byte for index, byte in enumerate(post.body) if index != dice.choice(at))) if at else post


def _swap_two_fields(post: Post, dice: random.Random) -> Post:
    pairs = post.body.split(b"&")
    dice.shuffle(pairs)
    return replace(post, body=b"&".join(pairs))


def _cut_off(post: Post, dice: random.Random) -> Post:
    return replace(post, body=post.body[: dice.randrange(len(post.body) or 1)])


def _change_the_query(post: Post, dice: random.Random) -> Post:
    return replace(post, query=dice.choice(("", "x=1", post.query + "&", post.query + "#", "bodySHA256=", post.query.upper())))


def _change_the_path(post: Post, _: random.Random) -> Post:
    return replace(post, path=STATUS_PATH if post.path == MESSAGES_PATH else MESSAGES_PATH)


def _change_the_signature(post: Post, dice: random.Random) -> Post:
    given = post.headers.get(SIGNATURE, "")
    other = dice.choice(GENUINE).headers[SIGNATURE]
    changed = dice.choice(("", given[:-1], given + "=", given.swapcase(), given[::-1], other, "A" * 28, "é" * 28, " " + given))
    return _with_header(post, SIGNATURE, changed)


def _change_the_algorithm(post: Post, dice: random.Random) -> Post:
    named = dice.choice(("key=k,algorithm=HMAC_SHA256", "key=k,algorithm=NONE", "algorithm=", ",", "algorithm=hmac_sha1"))
    return _with_header(post, ALGORITHM, named)


def _change_the_type(post: Post, dice: random.Random) -> Post:
    return _with_header(post, "content-type", dice.choice(("application/json", "text/plain", "multipart/form-data", "")))


def _sign_by_a_stranger(post: Post, dice: random.Random) -> Post:
    pairs = parse_qsl(post.body.decode("latin-1"), keep_blank_values=True)
    base = dice.choice((BASE_URL, "https://evil.example.com"))
    token = dice.choice(("", "0" * 32, DEVELOPMENT_TOKEN[:-1], DEVELOPMENT_TOKEN.upper()))
    return signed(post.path, pairs, post.query, base, token)


def _with_header(post: Post, name: str, value: str) -> Post:
    return replace(post, headers={**post.headers, name: value})


FORGERS: tuple[Callable[[Post, random.Random], Post], ...] = (
    _change_a_byte, _insert_a_byte, _drop_a_byte, _drop_a_field, _double_a_field, _merge_two_fields, _swap_two_fields, _cut_off,
    _change_the_query, _change_the_path, _change_the_signature, _change_the_algorithm, _change_the_type, _sign_by_a_stranger,
)  # fmt: skip


async def test_of_thousands_of_forged_posts_none_is_stored() -> None:
    event_log = FaultyLog()
    door = door_on(event_log)
    dice = random.Random(7)  # noqa: S311 - a test's own dice
    tried = 0
    while tried < FORGERIES:
        post = forged(dice)
        if is_genuine(post):
            continue
        tried += 1
        assert await ask(door, post) in {400, 403}, post
        assert event_log.events == [], post


async def test_no_recut_of_a_signed_form_is_another_message_or_from_somebody_else() -> None:
    """One separator moved, taken away or put anew, as long as the signature still fits."""
    event_log = FaultyLog()
    door = door_on(event_log)
    fitting = [post for genuine in GENUINE for post in recut(genuine) if is_genuine(post)]
    assert len(fitting) > 20
    for post in fitting:
        event_log.clear()
        assert await ask(door, post) in {200, 400}
        for event in event_log.events:
            assert event.subject == f"{SENDER}|{CONTACT}"
            assert isinstance(event.data, MessageReceived | MessageStatusChanged)
            assert event.data.sid == SID


def recut(post: Post) -> list[Post]:
    bodies = []
    for index, byte in enumerate(post.body):
        if byte in b"&=":
            bodies.append(post.body[:index] + post.body[index + 1 :])
        bodies += [post.body[:index] + separator + post.body[index:] for separator in (b"&", b"=")]
    return [replace(post, body=body) for body in bodies]


@pytest.mark.parametrize("fits", ["the first token", "the last token", "the address with its port", "nothing"])
def test_whatever_fits_the_work_is_the_same(monkeypatch: pytest.MonkeyPatch, fits: str) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    class Counting:
        compare_digest, digest = staticmethod(counting), hmac.digest

    monkeypatch.setattr(signature_module, "hmac", Counting)
    form: Mapping[str, tuple[str, ...]] = {"a": ("b",)}
    token = {"the first token": "one", "the last token": "three", "the address with its port": "two"}.get(fits, "another")
    port = ":443" if fits == "the address with its port" else ""
    given = signature([("a", "b")], f"{BASE_URL}{port}/x", token)
    check = SignatureCheck(BASE_URL, "/x", ["one", "two", "three"])
    accepted = check.accepts_form(b"", form, SignatureHeaders(given.encode(), "sha1"))
    assert accepted == (fits != "nothing")
    assert len(compared) == 6
