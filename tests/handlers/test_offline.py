import pytest

from handlers.model import Answer, Question, Turn
from handlers.offline import OfflineResponder, offline_answer
from handlers.parts import split


def _ask(*unanswered: str, history: tuple[Turn, ...] = ()) -> Answer:
    return offline_answer(Question("ours|theirs", history, unanswered))


async def test_the_same_question_gets_the_same_answer() -> None:
    question = Question("ours|theirs", (), ("Hello!",))
    assert await OfflineResponder().generate(question) == await OfflineResponder().generate(question)


def test_it_says_what_it_is_and_repeats_the_message() -> None:
    answer = _ask("Hello, is this on?")
    assert "offline responder" in answer.text
    assert "“Hello, is this on?”" in answer.text
    assert (answer.model, answer.input_tokens, answer.closes, answer.hands_off) == ("offline", 0, False, False)


def test_it_remembers_what_the_contact_said_before() -> None:
    history = (Turn("contact", "My cat is Mimi"), Turn("assistant", "I see"), Turn("person", "Nice cat"))
    assert "Before that you said: “My cat is Mimi”." in _ask("What is her name?", history=history).text
    assert "Before" not in _ask("What is her name?").text


def test_it_answers_each_of_several_messages() -> None:
    text = _ask("Olá", "quero saber", "o preço").text
    assert all(line in text for line in ("3 mensagens", "1. “Olá”", "2. “quero saber”", "3. “o preço”"))


def test_however_much_is_unanswered_it_fits_one_message() -> None:
    text = _ask(*["hello " * 300] * 50, history=(Turn("contact", "word " * 300),)).text
    assert "… and 40 more" in text
    assert len(split(text)) == 1


@pytest.mark.parametrize(
    ("message", "own_words"),
    [
        ("Olá, tudo bem?", "Sou o atendente"),
        ("Quero falar sobre meu pedido, você pode ajudar?", "Sou o atendente"),
        ("Hola, ¿qué tal?", "Soy el contestador"),
        ("Hello, how are you?", "I am Prosa's"),
        ("Xyzzy 123", "I am Prosa's"),
    ],
)
def test_it_answers_in_the_language_of_the_contact(message: str, own_words: str) -> None:
    assert _ask(message).text.startswith(own_words)


def test_a_message_without_a_language_is_answered_in_the_last_one() -> None:
    assert _ask("12345", history=(Turn("contact", "Olá, tudo bem?"), Turn("contact", "77"))).text.startswith("Sou o atendente")


@pytest.mark.parametrize(
    "message", ["Thanks, bye for now", "obrigado, até logo!", "Tchau tchau", "gracias, adiós", "ok, see you later"]
)
def test_a_goodbye_inside_a_sentence_closes(message: str) -> None:
    assert _ask("one more thing", message).closes


@pytest.mark.parametrize(
    "message", ["May I talk to a real person", "quero falar com um atendente", "Quiero hablar con una persona"]
)
def test_asking_for_a_person_hands_off(message: str) -> None:
    answer = _ask(message + ", bye")
    assert answer.hands_off
    assert not answer.closes


@pytest.mark.parametrize("message", ["the bytes are lost", "you are a nice person", "kbye8", "o adeuseiro"])
def test_words_that_only_look_alike_do_neither(message: str) -> None:
    assert not _ask(message).closes
    assert not _ask(message).hands_off
