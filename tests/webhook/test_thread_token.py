from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from streams.thread_token import open_, seal

SECRET = "a secret of thirty-two characters."
THREAD = "whatsapp:+14155238886|whatsapp:+5511999990000"


@given(thread=st.text(st.characters(codec="utf-8")), secret=st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_sealed_thread_opens_with_the_same_secret(thread: str, secret: str) -> None:
    assert open_(seal(thread, secret), secret) == thread


def test_the_same_thread_always_has_the_same_token() -> None:
    assert seal(THREAD, SECRET) == seal(THREAD, SECRET)
    assert seal(THREAD, SECRET) != seal(THREAD + "1", SECRET)


def test_a_token_needs_no_quoting_and_shows_no_part_of_the_thread() -> None:
    token = seal(THREAD, SECRET)
    assert quote(token, safe="") == token
    assert "5511999990000" not in token
    assert len(token) < 100


def test_a_token_does_not_open_with_another_secret() -> None:
    assert open_(seal(THREAD, SECRET), SECRET + "x") is None


def test_a_token_changed_anywhere_does_not_open() -> None:
    token = seal(THREAD + "!", SECRET)
    for index, character in enumerate(token[:-1]):
        changed = token[:index] + ("A" if character != "A" else "B") + token[index + 1 :]
        assert open_(changed, SECRET) is None
    assert open_(token[:-4], SECRET) is None
    assert open_(token + "AAAA", SECRET) is None


@given(st.text())
def test_text_that_was_never_sealed_does_not_open(text: str) -> None:
    assert open_(text, SECRET) is None


def test_a_token_is_never_read_beyond_its_longest() -> None:
    assert open_("A" * 100_000, SECRET) is None
    assert open_("", SECRET) is None
    assert open_("çççç", SECRET) is None
