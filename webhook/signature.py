"""
Twilio's signature: base64 of an HMAC over the full address and the sorted form fields.

The address comes from our configuration, never from `Host` or `X-Forwarded-*`. Twilio itself is inconsistent about writing the
port, so both forms count, as in Twilio's own libraries; fragments are not signed. Twilio's `RequestValidator` is not used: it
compares character by character, raises on a missing header, and cannot check several tokens in one pass. The signature has no
timestamp, so a replay is valid, and no field separators, so fields can be merged: the form is checked apart.

https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qs

SIGNATURE_HEADER = b"x-twilio-signature"
ALGORITHM_HEADER = b"x-twilio-webhooks-signature-settings"
"""`key=<id>,algorithm=HMAC_SHA256`: Twilio signed with a shared key instead of the auth token."""

_DIGESTS = {b"HMAC_SHA1": "sha1", b"HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
_ADDRESS = re.compile(r"(https?)://([^/?]+?)(:[0-9]+)?([/?].*)?", re.IGNORECASE)
_CREDENTIALS = re.compile("//[^/]*@")

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class SignatureHeaders:
    """What a request says about its signature: None where it is not said exactly once, or in a way unknown here."""

    signature: bytes | None
    digest: str | None


def signature_headers(headers: Headers) -> SignatureHeaders:
    """Find the signature among ASGI headers, whose names are lower case."""
    signatures, settings = [], []
    for name, value in headers:
        if name == SIGNATURE_HEADER:
            signatures.append(value)
        elif name == ALGORITHM_HEADER:
            settings.append(value)
    return SignatureHeaders(
        signature=signatures[0] if len(signatures) == 1 else None,
        digest="sha1" if not settings else _digest_named_in(settings[0]) if len(settings) == 1 else None,
    )


def _digest_named_in(settings: bytes) -> str | None:
    for part in settings.split(b","):
        name, _, value = part.partition(b"=")
        if name.strip() == b"algorithm" and value.strip():
            return _DIGESTS.get(value.strip().upper())
    return "sha1"


def addresses_signed_for(url: str) -> tuple[str, str]:
    """
    The address without and with its port, the fragment stripped; the default port where none is written.

    Letters keep their case, since Twilio signs what was typed into its console. Raises `ValueError` for what is no address.
    """
    parts = _ADDRESS.fullmatch(url.partition("#")[0])
    if parts is None:
        raise ValueError("not an http(s) address")
    scheme, host, port, rest = parts.groups(default="")
    port = port or _DEFAULT_PORTS[scheme.lower()]
    return f"{scheme}://{host}{rest}", f"{scheme}://{host}{port}{rest}"


def signature_of(token: bytes, url: bytes, form: bytes, digest: str) -> bytes:
    """Sign an address and the bytes that `signed_form` gives."""
    return b64encode(hmac.digest(token, url + form, digest))


def signed_form(form: Mapping[str, Sequence[str]]) -> bytes:
    """A form as it is signed: sorted names, each with its sorted set of values, blank ones included."""
    signed: list[str] = []
    for name in sorted(form):
        for value in sorted(set(form[name])) if len(form[name]) > 1 else form[name]:
            signed += name, value
    return "".join(signed).encode()


class SignatureCheck:
    """
    Whether a request to one path was signed with one of the tokens.

    The work does not depend on which token or form of the address fits, or whether any does.
    """

    def __init__(self, base_url: str, path: str, tokens: Sequence[str]) -> None:
        base = base_url.partition("#")[0].rstrip("/")
        self._addresses = tuple(address.encode() for address in addresses_signed_for(base + path))
        self._tokens = tuple(token.encode() for token in tokens)
        self.address = _CREDENTIALS.sub("//", base + path)
        """What is signed, without the query and any credentials: safe to log."""

    def accepts_form(self, query: bytes, form: Mapping[str, Sequence[str]], headers: SignatureHeaders) -> bool:
        """Check a form-encoded request. Never raises, whatever the headers hold."""
        return self._accepts(query, signed_form(form), headers)

    def accepts_body(self, query: bytes, body: bytes, headers: SignatureHeaders) -> bool:
        """Check any other request: the address is signed, and its `bodySHA256` must be the hash of the raw body."""
        claimed = parse_qs(query.decode("latin-1")).get("bodySHA256", [])
        is_this_body = hmac.compare_digest("".join(claimed).encode(), sha256(body).hexdigest().encode())
        return self._accepts(query, b"", headers) and is_this_body

    def _accepts(self, query: bytes, form: bytes, headers: SignatureHeaders) -> bool:
        if headers.signature is None or headers.digest is None:
            return False
        query = query.partition(b"#")[0]
        suffix = b"?" + query if query else b""
        accepted = False
        for token in self._tokens:
            for address in self._addresses:
                expected = signature_of(token, address + suffix, form, headers.digest)
                accepted |= hmac.compare_digest(expected, headers.signature)
        return accepted
