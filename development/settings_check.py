"""The settings of a run, told before anything starts."""

from development.plan import Plan, addresses
from handlers.choose_model import reply_generators
from settings import Settings, load_settings

ANY_REDIS, ANY_POSTGRES = "redis://127.0.0.1", "postgresql://127.0.0.1"
"""The run's own are known once they are started."""


def checked_settings(plan: Plan) -> Settings:
    """What the processes of this run will be given. Raises `ConfigurationError` with one line per problem."""
    given = {name.lower(): value for name, value in addresses(plan, ANY_REDIS, ANY_POSTGRES).items()}
    settings = load_settings(**{name: value for name, value in given.items() if name in Settings.model_fields})
    reply_generators(settings)
    return settings
