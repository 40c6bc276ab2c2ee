"""The bytes that contacts sent, and a small sample of each kind for those who have none at hand."""

import os
from base64 import b64decode
from pathlib import Path

SAMPLES = {
    "image/jpeg": b64decode(
        "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
        "////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
    ),
    "image/webp": b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"),
    "audio/ogg": b"OggS\x00\x02"
    + bytes(8)
    + b"PROS"
    + bytes(8)
    + b"\x01\x13OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00",
    "video/mp4": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
    "application/pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "text/vcard": b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Souza;Ana;;;\r\nFN:Ana Souza\r\nTEL;TYPE=CELL:+5511900000001\r\nEND:VCARD",
}

CONTENT_TYPES = {
    "image": "image/jpeg",
    "sticker": "image/webp",
    "audio": "audio/ogg",
    "video": "video/mp4",
    "document": "application/pdf",
    "contacts": "text/vcard",
}
"""What a phone sends for each message type that has media."""


def sample(content_type: str) -> bytes:
    return SAMPLES.get(content_type, b"sample")


class MediaStore:
    """
    In memory and, given a folder that only its owner may enter, in one file for each media sid.

    A path is formed from our own sids only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._contents: dict[str, bytes] = {}
        if folder is not None and folder.is_dir():
            self._contents = {path.name: path.read_bytes() for path in folder.iterdir()}

    def put(self, sid: str, content: bytes) -> None:
        self._contents[sid] = content
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            with os.fdopen(os.open(self._folder / sid, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)

    def get(self, sid: str) -> bytes | None:
        return self._contents.get(sid)

    def delete(self, sid: str) -> None:
        if self._contents.pop(sid, None) is not None and self._folder is not None:
            (self._folder / sid).unlink(missing_ok=True)
