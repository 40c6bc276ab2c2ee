"""pydantic-ai's errors as the port's: a code each, since their own messages carry what the server answered. Pure."""

from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelTimeoutError,
    OutputTokenLimitExceeded,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
)

from handlers.model import ModelFailed, ModelRefused
from handlers.pydantic_ai_http import is_too_long

UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What pydantic-ai lets through when an answer has another shape than it expects, such as one without choices."""


def failure_of(error: AgentRunError, model: str) -> ModelFailed | ModelRefused:
    """What this error means for the model: refused where waiting does not help."""
    match error:
        case ModelQuotaExceededError():
            return ModelRefused(model, "quota")
        case ModelRequestRejectedError():
            return ModelRefused(model, _http_code(error))
        case ContentFilterError():
            return ModelRefused(model, "content_filter")
        case ModelRequestTimeout() | ModelTimeoutError():
            return ModelFailed(model, "timeout")
        case ModelConnectionError() if is_too_long(error):
            return ModelFailed(model, "too_long")
        case ModelConnectionError():
            return ModelFailed(model, "connection")
        case ModelAPIError():
            return ModelFailed(model, _http_code(error), retry_after_seconds=error.retry_after)
        case OutputTokenLimitExceeded():
            return ModelFailed(model, "token_limit")
        case UnexpectedModelBehavior() | UsageLimitExceeded():
            return ModelFailed(model, "invalid_answer")
        case _:
            return ModelFailed(model, type(error).__name__)


def is_about_the_request(error: AgentRunError) -> bool:
    """Whether the server refused the request for what it carries, such as tools that it does not know."""
    return isinstance(error, ModelRequestRejectedError) and not isinstance(error, ModelAuthenticationError)


def is_perhaps_about_the_request(error: AgentRunError) -> bool:
    """The same, or a server error with which some servers answer to tools: llama.cpp without templates says 500."""
    return is_about_the_request(error) or (isinstance(error, ModelHTTPError) and error.status_code in (500, 501))


def _http_code(error: ModelAPIError) -> str:
    if isinstance(error, ModelHTTPError):
        return f"http_{error.status_code}"
    # without a category of its own it is a whole answer that OpenAI's client could not read
    return "invalid_answer" if type(error) is ModelAPIError else type(error).__name__
