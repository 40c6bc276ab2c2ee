"""What to do about a model that refuses or fails, in terms of the settings. Pure."""


def remedy_of(model: str, code: str) -> str:
    """For the name of a model, such as `openai:NAME`, and the code of its error."""
    provider = model.partition(":")[0].upper()
    match code:
        case "http_401" | "http_403":
            return f"put a valid key into {provider}_API_KEY"
        case "http_404":
            return f"name a model that exists in AI_MODEL or AI_FALLBACK_MODELS, or correct {provider}_BASE_URL"
        case "quota" | "http_402" | "http_429":
            return "raise the limits of your account there, or name another model in AI_FALLBACK_MODELS"
        case "connection" | "timeout":
            return f"look whether this machine reaches it, at {provider}_BASE_URL where that is set"
        case _:
            return "look at the model's own log, or name another model in AI_FALLBACK_MODELS"
