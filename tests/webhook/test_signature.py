"""Every vector of Twilio's signature that its documentation, its libraries' tests or a run of its library gives."""

import ast
import inspect
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhook.posts import is_valid_for_twilio, signature
from webhook import signature as module
from webhook.signature import SignatureCheck, SignatureHeaders, addresses_signed_for, signature_headers

TOKEN = "12345"
BASE, PATH, QUERY = "https://mycompany.com", "/myapp.php", b"foo=1&bar=2"
CALL = {
    "CallSid": ("CA1234567890ABCDE",),
    "Digits": ("1234",),
    "From": ("+14158675309",),
    "To": ("+18005551212",),
    "Caller": ("+14158675309",),
}
SHA1 = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
SHA256 = "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s="
BODY = b'{"property": "value", "boolean": true}'
BODY_HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
BODY_SIGNATURE = "a9nBmqA0ju/hNViExpshrM61xv4="


def headers(value: str | None, algorithm: str | None = None) -> SignatureHeaders:
    given = [(b"x-twilio-signature", value.encode("latin-1"))] if value is not None else []
    if algorithm is not None:
        given.append((b"x-twilio-webhooks-signature-settings", algorithm.encode()))
    return signature_headers(given)


def accepts(signed: str | None, *, base: str = BASE, tokens: tuple[str, ...] = (TOKEN,), algorithm: str | None = None) -> bool:
    return SignatureCheck(base, PATH, tokens).accepts_form(QUERY, CALL, headers(signed, algorithm))


@pytest.mark.parametrize("signed", [SHA1, "kvajT1Ptam85bY51eRf/AJRuM3w="], ids=["without port", "with :443"])
@pytest.mark.parametrize("base", [BASE, BASE + ":443", BASE + "/", BASE + "#rc=5&rp=all"])
def test_an_https_signature_counts_with_and_without_its_port(base: str, signed: str) -> None:
    assert accepts(signed, base=base)


@pytest.mark.parametrize("base", ["http://mycompany.com", "http://mycompany.com:80"])
def test_an_http_signature_counts_with_its_port(base: str) -> None:
    assert accepts("0ZXoZLH/DfblKGATFgpif+LLRf4=", base=base)


def test_an_unusual_port_is_signed() -> None:
    assert accepts("Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", base="http://mycompany.com:1234")
    assert not accepts("Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", base="http://mycompany.com:1235")


def test_the_scheme_is_signed() -> None:
    assert not accepts(SHA1, base="http://mycompany.com")


def test_a_shared_key_signs_with_sha256() -> None:
    assert accepts(SHA256, algorithm="key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")
    assert accepts(SHA1, algorithm="key=webhooks_sharedkey_1")
    assert not accepts(SHA256)
    assert not accepts(SHA1, algorithm="key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")


def test_an_algorithm_unknown_here_is_refused() -> None:
    assert not accepts(SHA1, algorithm="key=x,algorithm=HMAC_MD5")


def test_several_tokens_count_while_one_replaces_the_other() -> None:
    assert accepts(SHA1, tokens=("new", TOKEN))
    assert accepts(SHA1, tokens=(TOKEN, "new"))
    assert not accepts(SHA1, tokens=("new", "newer"))


def test_repeated_fields_are_signed_as_a_sorted_set() -> None:
    check = SignatureCheck(BASE, PATH, [TOKEN])
    form = {"Sid": ("CA123",), "SidAccount": ("AC123",), "Digits": ("5678", "1234", "1234")}
    assert check.accepts_form(QUERY, form, headers("IK+Dwps556ElfBT0I3Rgjkr1wJU="))


def test_blank_fields_and_emoji_are_signed() -> None:
    check = SignatureCheck("https://app.example.com", "/twilio/inbound", [TOKEN])
    form = {
        "MessageSid": ("SM" + "1" * 32,),
        "From": ("whatsapp:+5511999990000",),
        "To": ("whatsapp:+14155238886",),
        "Body": ("Olá ção 👋",),
        "NumMedia": ("0",),
        "Empty": ("",),
    }
    assert check.accepts_form(b"", form, headers("AqkaswxmEERVUAq3WDr3rbnXtaw="))
    without_blank = {name: values for name, values in form.items() if name != "Empty"}
    assert not check.accepts_form(b"", without_blank, headers("AqkaswxmEERVUAq3WDr3rbnXtaw="))


def test_any_other_body_is_signed_by_its_hash() -> None:
    check = SignatureCheck(BASE, PATH, [TOKEN])
    query = QUERY + b"&bodySHA256=" + BODY_HASH.encode()
    assert sha256(BODY).hexdigest() == BODY_HASH
    assert check.accepts_body(query, BODY, headers(BODY_SIGNATURE))
    assert not check.accepts_body(query, BODY + b" ", headers(BODY_SIGNATURE))
    assert not check.accepts_body(QUERY, BODY, headers(SHA1))
    assert not check.accepts_body(b"\xff&bodySHA256=\xc3%FF", BODY, headers(BODY_SIGNATURE))


def test_a_body_without_its_hash_is_not_signed_even_by_a_signature_of_the_address() -> None:
    check = SignatureCheck(BASE, PATH, [TOKEN])
    for query in ("foo=1", "bodySHA256=", f"bodySHA256={BODY_HASH}&bodySHA256={BODY_HASH}"):
        assert not check.accepts_body(query.encode(), BODY, headers(signature([], f"{BASE}{PATH}?{query}", TOKEN)))


@pytest.mark.parametrize("value", [None, "", "A", SHA1[:-1], SHA1 + "=", SHA1.lower(), "ç" * 28, "\x00", " " + SHA1])
def test_a_missing_short_or_strange_signature_is_refused(value: str | None) -> None:
    assert not accepts(value)


def test_a_signature_given_twice_is_none() -> None:
    twice = [(b"x-twilio-signature", SHA1.encode())] * 2
    assert signature_headers(twice).signature is None
    settings = [(b"x-twilio-webhooks-signature-settings", b"algorithm=HMAC_SHA1")] * 2
    assert signature_headers(settings).digest is None


@pytest.mark.parametrize(
    ("url", "without", "with_port"),
    [
        ("https://a.example/x?y=1#rc=5", "https://a.example/x?y=1", "https://a.example:443/x?y=1"),
        ("http://[::1]:8000/x", "http://[::1]/x", "http://[::1]:8000/x"),
        ("http://[::1]/x", "http://[::1]/x", "http://[::1]:80/x"),
        ("https://user:12@a.example/x", "https://user:12@a.example/x", "https://user:12@a.example:443/x"),
        ("https://Prosa.Example/Path/x", "https://Prosa.Example/Path/x", "https://Prosa.Example:443/Path/x"),
    ],
)
def test_the_port_is_put_and_taken_wherever_it_stands(url: str, without: str, with_port: str) -> None:
    assert addresses_signed_for(url) == (without, with_port)


def test_the_address_told_in_logs_hides_credentials() -> None:
    assert SignatureCheck("https://user:12@a.example", "/x", [TOKEN]).address == "https://a.example/x"


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(
    form=st.dictionaries(names, st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=3), max_size=6),
    token=names,
    algorithm=st.sampled_from(["HMAC_SHA1", "HMAC_SHA256"]),
)
def test_what_twilios_library_signs_is_accepted_and_nothing_else(form: dict[str, list[str]], token: str, algorithm: str) -> None:
    pairs = [(name, value) for name, values in form.items() for value in values]
    signed = signature(pairs, f"{BASE}{PATH}?foo=1&bar=2", token, algorithm)
    values = {name: tuple(values) for name, values in form.items()}
    check = SignatureCheck(BASE, PATH, [token])
    assert check.accepts_form(QUERY, values, headers(signed, f"key=k,algorithm={algorithm}"))
    assert not check.accepts_form(QUERY, {**values, "\x00extra": ("1",)}, headers(signed, f"key=k,algorithm={algorithm}"))
    assert not SignatureCheck(BASE, PATH, [token + "x"]).accepts_form(
        QUERY, values, headers(signed, f"key=k,algorithm={algorithm}")
    )


def test_twilios_library_agrees_that_the_vector_is_valid() -> None:
    params = {name: values[0] for name, values in CALL.items()}
    assert is_valid_for_twilio(params, f"{BASE}{PATH}?foo=1&bar=2", SHA1, TOKEN)


def test_signatures_are_compared_in_constant_time_only() -> None:
    tree = ast.parse(inspect.getsource(module))
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    names = {name.id for node in compared for name in ast.walk(node) if isinstance(name, ast.Name)}
    assert "expected" not in names
    calls = [node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    assert calls.count("compare_digest") == 2
