"""The model and its fallbacks: name, key, package, and on request one tiny question."""

import asyncio
from collections.abc import Sequence

from handlers.choose_model import reply_generators
from handlers.measured import MeasuredModel
from handlers.model import ModelFailed, ModelRefused, Question
from handlers.model_remedies import remedy_of
from handlers.offline import MODEL as OFFLINE
from operations.doctor.findings import Finding, Group, error, parted, warning, well
from operations.doctor.system import System
from streams.errors import ConfigurationError

QUESTION = Question(thread="doctor", history=(), unanswered=("Answer with the word OK.",))


async def model(system: System) -> Sequence[Finding]:
    try:
        models = await _models(system)
    except ConfigurationError as wrong:
        return [error(Group.MISSING, *parted(str(wrong), "set AI_MODEL"))]
    await _close(models)
    if models[0].name == OFFLINE:
        sentence = "The offline responder answers, which is no language model."
        if system.is_production:
            return [warning(Group.CONFIGURED, sentence, "set AI_MODEL, such as openai:NAME")]
        return [well(Group.CONFIGURED, sentence)]
    return [well(Group.CONFIGURED, f"{', then '.join(each.name for each in models)} can be asked.")]


async def model_request(system: System) -> Sequence[Finding]:
    models = await _models(system)
    try:
        return await asyncio.gather(*map(_asked, models))
    finally:
        await _close(models)


async def _asked(model: MeasuredModel) -> Finding:
    try:
        await model.generate(QUESTION)
    except (ModelFailed, ModelRefused) as failure:
        return error(Group.REACHABLE, f"The model does not answer: {failure}.", remedy_of(model.name, failure.code))
    return well(Group.REACHABLE, f"The model {model.name} answers.")


async def _models(system: System) -> Sequence[MeasuredModel]:
    """In a thread: the libraries take a second to load, in which the other checks go on."""
    return await asyncio.to_thread(reply_generators, system.settings)


async def _close(models: Sequence[MeasuredModel]) -> None:
    for each in models:
        if close := getattr(each.model, "close", None):
            await close()
