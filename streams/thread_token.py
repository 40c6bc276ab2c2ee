"""
A thread as an opaque token, fit for a callback address: it tells nobody a phone number and nobody else can make one.

The token is URL-safe base64 of `iv || ciphertext`, where `iv` is HMAC-SHA256 of the thread cut to 16 bytes, and the ciphertext is
the thread XOR a keystream of HMAC-SHA256(iv || counter). The iv is the authentication tag too (a synthetic iv, as in RFC 5297):
opening computes it anew and compares. So the same thread and secret always give the same token; one that was touched, or sealed
with another secret, does not open. Keys for the two uses are derived from the secret, so that neither meets its other uses.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256

_IV_BYTES = 16
_LONGEST_TOKEN = 1024


def seal(thread: str, secret: str) -> str:
    """Hide a thread in a token of letters, digits, `-` and `_`; about 4/3 of its length and 22 characters."""
    plain = thread.encode()
    iv = _iv(plain, secret)
    return urlsafe_b64encode(iv + _mask(plain, iv, secret)).rstrip(b"=").decode()


def open_(token: str, secret: str) -> str | None:
    """The thread that was sealed with this secret, or None for anything else."""
    if not token.isascii() or len(token) > _LONGEST_TOKEN:
        return None
    try:
        sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except NotBase64:
        return None
    iv, masked = sealed[:_IV_BYTES], sealed[_IV_BYTES:]
    plain = _mask(masked, iv, secret)
    return plain.decode() if hmac.compare_digest(iv, _iv(plain, secret)) else None


def _iv(plain: bytes, secret: str) -> bytes:
    return hmac.digest(_key(secret, b"prosa thread token: iv"), plain, sha256)[:_IV_BYTES]


def _mask(text: bytes, iv: bytes, secret: str) -> bytes:
    key = _key(secret, b"prosa thread token: keystream")
    blocks = range(-(-len(text) // sha256().digest_size))
    keystream = b"".join(hmac.digest(key, iv + block.to_bytes(4, "big"), sha256) for block in blocks)
    return bytes(a ^ b for a, b in zip(text, keystream, strict=False))


def _key(secret: str, use: bytes) -> bytes:
    return hmac.digest(secret.encode(), use, sha256)
