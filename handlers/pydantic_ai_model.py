"""
The adapter from the port to pydantic-ai. Importing this module loads pydantic-ai, so it is imported where a model is chosen.

The model is offered one output tool, `reply`, and may answer in plain text instead: many servers that speak OpenAI's protocol
cannot call tools. Some refuse a request that has tools at all; that request is made again without them, and the model then marks
a goodbye or the wish for a person at the end of its text. The conversation travels as messages only, never as instructions.
"""

from pydantic_ai import Agent, TextOutput, ToolOutput, UsageLimits
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from handlers.model import Answer, ModelFailed, ModelRefused, Question
from handlers.model_remedies import remedy_of
from handlers.pydantic_ai_errors import UNREADABLE, failure_of, is_about_the_request, is_perhaps_about_the_request
from handlers.pydantic_ai_messages import Reply, messages_of, prompt_of, reply_of_text
from handlers.pydantic_ai_providers import close_client
from telemetry import log

LONGEST_ANSWER = 16_000
"""Characters; ten WhatsApp messages. What goes beyond is dropped."""

MOST_OUTPUT_TOKENS = 4096
"""Room for the thoughts of a reasoning model too, which count."""

_WITH_TOOL = "Give your answer by calling the tool `reply`."
_WITHOUT_TOOL = (
    "Answer in plain text. If the conversation is over with your answer, end it with a line that says [goodbye]. "
    "If the contact wants to talk to a person, end it with a line that says [person]. Never mention these marks."
)

_ONE_REQUEST = UsageLimits(request_limit=1)


class PydanticAiModel:
    """The `ReplyGenerator` of one model that pydantic-ai speaks to. `name` is how settings and errors call it."""

    def __init__(self, model: Model, *, name: str, instructions: str, request_timeout_seconds: float) -> None:
        self._model = model
        self._name = name
        self._is_without_tools = False
        once = ModelSettings(request_timeout=request_timeout_seconds, max_retries=0)
        self._with_tool: Agent[object, Reply] = Agent(
            model,
            name="reply",
            output_type=[ToolOutput(Reply, name="reply"), TextOutput(reply_of_text)],
            instructions=[instructions, _WITH_TOOL],
            model_settings={**once, "max_tokens": MOST_OUTPUT_TOKENS},
            retries=0,
        )
        # the least that a server can be asked for: no tools, and no limit of tokens, which goes by two names
        self._without_tool: Agent[object, Reply] = Agent(
            model,
            name="reply",
            output_type=TextOutput(reply_of_text),
            instructions=[instructions, _WITHOUT_TOOL],
            model_settings=once,
            retries=0,
        )

    async def generate(self, question: Question) -> Answer:
        """Ask once; only where the first request may have been refused for its tools, once more without them."""
        if self._is_without_tools:
            return await self._ask_without_tool(question)
        try:
            return await self._ask(self._with_tool, question)
        except AgentRunError as error:
            if not is_perhaps_about_the_request(error):
                raise self._failure(error) from None
            is_proof_if_this_works = is_about_the_request(error)
        answer = await self._ask_without_tool(question)
        self._is_without_tools |= is_proof_if_this_works
        return answer

    async def close(self) -> None:
        """Let go of the model's connections; it is not asked again."""
        async with self._model:
            pass  # leaving a model closes its client, where it is the library's
        await close_client(self._model)

    async def _ask_without_tool(self, question: Question) -> Answer:
        try:
            return await self._ask(self._without_tool, question)
        except AgentRunError as error:
            raise self._failure(error) from None

    def _failure(self, error: AgentRunError) -> ModelFailed | ModelRefused:
        """A refusal is told with its remedy too: waiting does not help."""
        failure = failure_of(error, self._name)
        if isinstance(failure, ModelRefused):
            log.warning("model.refused", model=self._name, code=failure.code, remedy=remedy_of(self._name, failure.code))
        return failure

    async def _ask(self, agent: Agent[object, Reply], question: Question) -> Answer:
        history = messages_of(question.history)
        try:
            result = await agent.run(prompt_of(question), message_history=history, usage_limits=_ONE_REQUEST)
        except UNREADABLE:
            raise ModelFailed(self._name, "invalid_answer") from None
        text = result.output.text.strip()[:LONGEST_ANSWER]
        if not text:
            raise ModelFailed(self._name, "empty")
        return Answer(
            text=text,
            closes=result.output.conversation_is_over and not result.output.person_is_wanted,
            hands_off=result.output.person_is_wanted,
            model=self._name,
            input_tokens=result.usage.input_tokens,
            output_tokens=result.usage.output_tokens,
        )
