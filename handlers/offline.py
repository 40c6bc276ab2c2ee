"""
The responder without a model: the same question always gets the same answer, in Portuguese, Spanish or English.

It shows that the whole way works, memory included, and says what it is, so that nobody takes it for more.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.model import Answer, Question

MODEL = "offline"

LONGEST_QUOTE = 120
MOST_QUOTES = 10


@dataclass(frozen=True, slots=True)
class _Language:
    cues: str
    """Frequent words of it, without accents."""
    introduction: str
    one: str
    many: str
    more: str
    before: str
    goodbye: str
    person: str


_ENGLISH = _Language(
    cues=(
        "hello hi hey the is are you i my what how can want need please thanks thank good morning evening yes goodbye bye "
        "to a and it this talk person"
    ),
    introduction="I am Prosa's offline responder; no model is connected.",
    one="You said: {quote}.",
    many="You sent {count} messages:",
    more="… and {count} more",
    before="Before that you said: {quote}.",
    goodbye="Goodbye, it was nice to talk!",
    person="I am calling a person for you.",
)
_PORTUGUESE = _Language(
    cues=(
        "ola oi tudo bem bom boa dia tarde noite voce voces obrigado obrigada nao sim tchau quero qual meu minha "
        "preciso falar pessoa atendente ate logo mais por favor isso esta estou uma"
    ),
    introduction="Sou o atendente offline da Prosa; nenhum modelo está conectado.",
    one="Você disse: {quote}.",
    many="Você enviou {count} mensagens:",
    more="… e mais {count}",
    before="Antes disso você disse: {quote}.",
    goodbye="Tchau, foi bom conversar!",
    person="Vou chamar uma pessoa para você.",
)
_SPANISH = _Language(
    cues=(
        "hola buenos buenas dias tardes noches usted gracias si adios quiero cual necesito hablar con persona "
        "hasta luego por favor eso estoy una que tal como"
    ),
    introduction="Soy el contestador offline de Prosa; no hay ningún modelo conectado.",
    one="Dijiste: {quote}.",
    many="Enviaste {count} mensajes:",
    more="… y {count} más",
    before="Antes dijiste: {quote}.",
    goodbye="¡Adiós, fue un gusto hablar contigo!",
    person="Voy a llamar a una persona.",
)

_GOODBYE = re.compile(r"\b(tchau|adeus|ate (logo|mais|a proxima)|adios|chau|hasta (luego|pronto)|goodbye|bye|see you( later)?)\b")
_PERSON = re.compile(
    r"\b(falar|conversar|hablar|talk|speak|chat)\b.{0,20}\b(com|con|to|with)\b.{0,20}"
    r"\b(pessoa|humano|atendente|alguem|persona|agente|alguien|person|human|agent|someone|somebody)\b"
)


class OfflineResponder:
    """The `ReplyGenerator` behind `AI_MODEL=offline`."""

    async def generate(self, question: Question) -> Answer:
        """Never fails and costs nothing."""
        return offline_answer(question)


def offline_answer(question: Question) -> Answer:
    """Say what the contact wrote, all of it, and what came before."""
    earlier = [turn.text for turn in question.history if turn.role == "contact"]
    language = _language_of(question.unanswered) or _language_of(earlier[::-1]) or _ENGLISH
    plain = [_plain(text) for text in question.unanswered]
    closes = any(_GOODBYE.search(text) for text in plain)
    hands_off = any(_PERSON.search(text) for text in plain)
    lines = [language.introduction, *_repeated(question.unanswered, language)]
    if earlier:
        lines.append(language.before.format(quote=_quote(earlier[-1])))
    if hands_off:
        lines.append(language.person)
    elif closes:
        lines.append(language.goodbye)
    return Answer("\n".join(lines), closes and not hands_off, hands_off, MODEL, 0, 0)


def _repeated(messages: tuple[str, ...], language: _Language) -> list[str]:
    if len(messages) == 1:
        return [language.one.format(quote=_quote(messages[0]))]
    lines = [f"{number}. {_quote(text)}" for number, text in enumerate(messages[:MOST_QUOTES], start=1)]
    more = len(messages) - len(lines)
    return [language.many.format(count=len(messages)), *lines, *([language.more.format(count=more)] if more else [])]


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1].rstrip() + '…'}”"


def _language_of(texts: Sequence[str]) -> _Language | None:
    """The language of the first text that has more cues of one than of any other."""
    for text in texts:
        words = set(re.findall(r"[a-z]+", _plain(text)))
        (most, language), (second, _) = sorted(
            ((len(words & set(language.cues.split())), language) for language in (_PORTUGUESE, _SPANISH, _ENGLISH)),
            key=lambda counted: counted[0],
            reverse=True,
        )[:2]
        if most > second:
            return language
    return None


def _plain(text: str) -> str:
    """Lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
