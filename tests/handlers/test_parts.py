import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.parts import ELLIPSIS, MOST_PARTS, PART_LIMIT, normalise, split, units

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=300)
PIECES = ["word", "Olá!", "é.", "👍🏽", "\n", "\n\n", " ", "x" * 30, "。", "e\u0301"]
PROSE = st.lists(st.sampled_from(PIECES), max_size=120).map("".join)


def _without_space(text: str) -> str:
    return "".join(text.split())


@given(PROSE | ANY_TEXT)
def test_the_parts_joined_are_the_text(text: str) -> None:
    parts = split(text, limit=40, most=10_000)
    assert _without_space("".join(parts)) == _without_space(normalise(text))


@given(PROSE | ANY_TEXT, st.integers(1, 5))
def test_no_part_is_too_long_or_empty_and_there_are_not_too_many(text: str, most: int) -> None:
    parts = split(text, limit=40, most=most)
    assert len(parts) <= most
    assert all(0 < len(part.encode("utf-16-le")) // 2 <= 40 for part in parts)


@given(PROSE | ANY_TEXT)
def test_what_is_sent_equals_what_is_listed_later(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert all(normalise(part) == part for part in split(text, limit=40))
    normalise(text).encode()


@given(st.text(max_size=50))
def test_units_are_counted_as_utf_16_does(text: str) -> None:
    assert units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_a_short_text_is_one_part() -> None:
    assert split("Oi!") == ("Oi!",)
    assert split("a" * PART_LIMIT) == ("a" * PART_LIMIT,)


def test_a_text_of_space_has_no_part() -> None:
    assert split(" \n\t\x00 ") == ()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One two three four.\n\nFive six seven. Eight nine", "One two three four."),
        ("One two three four. Five\nsix seven. Eight nine ten", "One two three four. Five"),
        ("One two three four. Five six seven eight nine ten", "One two three four."),
        ("One two three four five six seven eight nine ten", "One two three four five six"),
        ("Exactly thirty, then a space.. Then more and more", "Exactly thirty, then a space.."),
        ("x" * 50, "x" * 30),
    ],
    ids=["paragraph", "line", "sentence", "word", "a sentence that fills the part", "nowhere"],
)
def test_a_part_ends_where_a_reader_would_pause(text: str, first: str) -> None:
    assert split(text, limit=30)[0] == first


def test_what_exceeds_the_last_part_is_cut_with_an_ellipsis() -> None:
    parts = split("word " * 5000)
    assert len(parts) == MOST_PARTS
    assert parts[-1].endswith("word" + ELLIPSIS)
    assert not any(part.endswith(ELLIPSIS) for part in parts[:-1])


def test_a_text_that_fills_the_last_part_exactly_is_not_cut() -> None:
    assert split("a" * 20, limit=10, most=2) == ("a" * 10, "a" * 10)


@pytest.mark.parametrize("grapheme", ["👍🏽", "👨‍👩‍👧", "❤️", "o\u0328\u0301"])
def test_a_grapheme_is_not_torn(grapheme: str) -> None:
    grapheme = unicodedata.normalize("NFC", grapheme)
    for offset in range(12):
        assert sum(part.count(grapheme) for part in split("x" * offset + grapheme + "y" * 20, limit=12)) == 1


def test_a_body_is_normalised() -> None:
    assert normalise(" a\r\nb\rc\x00\x07e\u0301\ud83d \n") == "a\nb\ncé"
