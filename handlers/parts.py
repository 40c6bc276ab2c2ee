"""A reply as WhatsApp messages: normalised, and split where a reader would pause. Pure."""

import re
import unicodedata

PART_LIMIT = 1600
"""Twilio refuses longer bodies (21617). Characters outside the basic plane count as two, which is how UTF-16 counts them."""

MOST_PARTS = 10
ELLIPSIS = "…"

_PARAGRAPH = re.compile(r"(?=\n[^\S\n]*\n)")
_LINE = re.compile(r"(?=\n)")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*(?=\s)|[。！？]")  # noqa: RUF001 - these are the full stops of Chinese and Japanese
_WORD = re.compile(r"(?=\s)")
_PAUSES = ((_PARAGRAPH, 0.5), (_LINE, 0.5), (_SENTENCE, 0.5), (_WORD, 0.0))
"""Where to cut, best first, and how full the part must at least be to be cut there."""

_ZERO_WIDTH_JOINER = "\u200d"
_LONGEST_GRAPHEME = 32


def units(text: str) -> int:
    """The length in UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def normalise(text: str) -> str:
    """
    The one form in which a body is sent, stored and compared: what Twilio lists later equals what was sent.

    NFC, line feeds only, no control characters and no lone surrogates, no space around. Normalising twice changes nothing.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(character for character in lines if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs"))
    return unicodedata.normalize("NFC", kept).strip()


def split(text: str, *, limit: int = PART_LIMIT, most: int = MOST_PARTS) -> tuple[str, ...]:
    """The normalised text in at most `most` parts of at most `limit` UTF-16 units; the rest is cut, and an ellipsis says so."""
    rest = normalise(text)
    parts: list[str] = []
    while rest:
        window = _prefix(rest, limit)
        if len(window) < len(rest):
            if len(parts) == most - 1:
                return (*parts, _shortened(rest, limit))
            window = window[: _pause_in(rest, len(window))]
        rest = rest[len(window) :].lstrip()
        parts.append(window.rstrip())
    return tuple(parts)


def _shortened(text: str, limit: int) -> str:
    window = _prefix(text, limit - units(ELLIPSIS))
    return window[: _pause_in(text, len(window))].rstrip() + ELLIPSIS


def _prefix(text: str, limit: int) -> str:
    """The longest beginning of at most `limit` units."""
    end = min(len(text), limit)
    while (excess := units(text[:end]) - limit) > 0:
        end -= (excess + 1) // 2
    return text[:end]


def _pause_in(text: str, end: int) -> int:
    """Where to cut `text` at or before `end`, which is before its end; never 0."""
    for pause, least in _PAUSES:
        cuts = [found.end() for found in pause.finditer(text, 0, end + 2) if found.end() <= end]
        if cuts and cuts[-1] > least * end:
            return cuts[-1]
    return _grapheme_boundary(text, end)


def _grapheme_boundary(text: str, end: int) -> int:
    """The last place at or before `end` that does not tear an accent, a joined emoji or its skin tone off."""
    for cut in range(end, max(0, end - _LONGEST_GRAPHEME), -1):
        if not _continues(text[cut]) and text[cut - 1] != _ZERO_WIDTH_JOINER:
            return cut
    return end


def _continues(character: str) -> bool:
    is_skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return is_skin_tone or character == _ZERO_WIDTH_JOINER or unicodedata.category(character) in ("Mn", "Me", "Mc")
