"""The model and its fallbacks: name, key, package, and on request one tiny question."""

import asyncio
from collections.abc import Sequence

from handlers.choose_model import reply_generators
from handlers.model import ModelFailed, ModelRefused, Question, ReplyGenerator
from handlers.model_remedies import remedy_of
from handlers.offline import OfflineResponder
from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from streams.errors import ConfigurationError

QUESTION = Question(thread="doctor", history=(), unanswered=("Answer with the word OK.",))


async def model(system: System) -> Sequence[Finding]:
    try:
        generators = await _generators(system)
    except ConfigurationError as wrong:
        sentence, _, remedy = str(wrong).partition("; ")
        return [error(Group.MISSING, f"{sentence}.", remedy or "set AI_MODEL")]
    await _close(generators)
    if isinstance(generators[0], OfflineResponder):
        sentence = "The offline responder answers, which is no language model."
        if system.is_production:
            return [warning(Group.CONFIGURED, sentence, "set AI_MODEL, such as openai:NAME")]
        return [well(Group.CONFIGURED, sentence)]
    return [well(Group.CONFIGURED, f"{' and then '.join(_names(system))} can be asked.")]


async def model_request(system: System) -> Sequence[Finding]:
    generators = await _generators(system)
    try:
        return await asyncio.gather(*(_asked(name, each) for name, each in zip(_names(system), generators, strict=True)))
    finally:
        await _close(generators)


async def _asked(name: str, generator: ReplyGenerator) -> Finding:
    try:
        await generator.generate(QUESTION)
    except (ModelFailed, ModelRefused) as failure:
        return error(Group.REACHABLE, f"The model does not answer: {failure}.", remedy_of(name, failure.code))
    return well(Group.REACHABLE, f"The model {name} answers.")


def _names(system: System) -> Sequence[str]:
    return (system.settings.ai_model, *system.settings.ai_fallback_models)


async def _generators(system: System) -> Sequence[ReplyGenerator]:
    """In a thread: the libraries take a second to load, in which the other checks go on."""
    return await asyncio.to_thread(reply_generators, system.settings)


async def _close(generators: Sequence[ReplyGenerator]) -> None:
    for generator in generators:
        if close := getattr(generator, "close", None):
            await close()
