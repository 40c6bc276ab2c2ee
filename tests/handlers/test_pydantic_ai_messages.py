"""A model's text as a reply, whatever it writes."""

import time

import pytest

from handlers.pydantic_ai_messages import Reply, reply_of_text

LONG = 250_000

WITHOUT_MEASURE = {
    "blanks": "a" + " " * LONG + "b",
    "lines": "\n" * LONG + "x",
    "marks": "[goodbye]" * (LONG // 9),
    "marks that are none": "[goodbye]" * (LONG // 9) + "x",
    "full stops": "[person]" + "." * LONG + "x",
    "fences": "```json " * (LONG // 8),
    "brackets": "[" * LONG,
    "braces": "```{" + "} " * (LONG // 2) + "x",
    "digits": "9" * LONG,
}


@pytest.mark.parametrize("text", WITHOUT_MEASURE.values(), ids=WITHOUT_MEASURE.keys())
def test_a_text_without_measure_is_understood_in_no_time(text: str) -> None:
    began = time.process_time()
    reply_of_text(text)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Bye! [goodbye] . \n[PERSON]..", Reply(text="Bye!", conversation_is_over=True, person_is_wanted=True)),
        ("I am calling Ana. [person].", Reply(text="I am calling Ana.", person_is_wanted=True)),
        ("Wait...", Reply(text="Wait...")),
        ("[goodbye] Wait. [hello]", Reply(text="[goodbye] Wait. [hello]")),
        ("[goodbye]", Reply(text="", conversation_is_over=True)),
        ("", Reply(text="")),
    ],
)
def test_marks_count_at_the_end_only(text: str, reply: Reply) -> None:
    assert reply_of_text(text) == reply
