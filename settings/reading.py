"""From the environment and `.env` to one frozen `Settings`, or to every problem at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from structlog import get_logger

from settings.accepted import accepted
from settings.env_file import ENV_FILE, Misspelling, misspellings, problem_of_env_file
from settings.production import unsafe
from settings.sections import ClockAndRetries, ConversationPolicy, Environment, Log, Model, Process, ReadModel, Twilio
from streams.errors import ConfigurationError

_CONFIG = SettingsConfigDict(
    env_file=ENV_FILE,
    env_ignore_empty=True,
    extra="ignore",
    frozen=True,
    hide_input_in_errors=True,
    case_sensitive=False,
)


class Settings(Process, ClockAndRetries, ConversationPolicy, Model, Twilio, ReadModel, Log, BaseSettings):
    """Prosa's settings; each field is the environment variable of that name in capitals."""

    model_config = _CONFIG


class _DatabaseUrl(ReadModel, BaseSettings):
    model_config = _CONFIG


log = get_logger("prosa.settings")

_Read = TypeVar("_Read", bound=BaseSettings)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one setting: its name and half a sentence, never its value."""

    name: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.name} {self.wrong}"


def load_settings(**given: Any) -> Settings:
    """
    Read the settings, or raise `ConfigurationError` with one line per problem, naming settings and never their values.

    What is `given` by field name comes before the environment.
    """
    settings, problems = read_settings(**given)
    if problems:
        raise ConfigurationError("\n".join(map(str, problems)))
    return settings


def read_settings(**given: Any) -> tuple[Settings, Sequence[Problem]]:
    """The settings, with the default in the place of what is wrong, and everything that is wrong with them."""
    settings, problems = _read(Settings, given)
    if settings.environment is Environment.PRODUCTION:
        told = {problem.name for problem in problems}
        refused = (Problem(name.upper(), wrong) for name, wrong in unsafe(settings))
        problems += [problem for problem in refused if problem.name not in told]
    return settings, problems


def load_database_url() -> str:
    """DATABASE_URL alone: who only changes the schema needs nothing else. Raises `ConfigurationError`."""
    settings, problems = _read(_DatabaseUrl, {})
    if problems:
        raise ConfigurationError("\n".join(map(str, problems)))
    return settings.database_url.get_secret_value()


def misspelt_settings() -> list[Misspelling]:
    """Names in `.env` that are probably meant for a setting, and are none."""
    return misspellings(Settings.model_fields)


def warn_of_misspelt_settings() -> None:
    """Say once, at the start of a process, what is probably a mistake."""
    for each in misspelt_settings():
        log.warning("setting.unknown", name=each.name, file=str(ENV_FILE), did_you_mean=each.meant)


def _read(kind: type[_Read], given: Mapping[str, Any]) -> tuple[_Read, list[Problem]]:
    wrong_file = problem_of_env_file()
    file: dict[str, Any] = {"_env_file": None} if wrong_file else {}
    problems = [Problem(str(ENV_FILE), wrong_file)] if wrong_file else []
    try:
        return kind(**file, **given), problems
    except ValidationError as error:
        found = {str(detail["loc"][0]): detail for detail in reversed(error.errors())}
    problems += _problems(kind, found)
    defaults = {name: kind.model_fields[name].default for name in found}
    return kind(**file, **{**given, **defaults}), problems


def _problems(kind: type[BaseSettings], found: Mapping[str, ErrorDetails]) -> Iterator[Problem]:
    for name, field in kind.model_fields.items():
        if name in found:
            own_words = found[name].get("ctx", {}).get("error")
            yield Problem(name.upper(), str(own_words) if own_words else f"is not {accepted(field)}")
