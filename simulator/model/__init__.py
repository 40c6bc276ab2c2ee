"""A stand-in for a language model behind OpenAI's Chat Completions."""
