"""What an LLM says of itself, and of a call that is about to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

Given: TypeAlias = Mapping[str, Any]

# Packages of LLMs, and the names that telemetry and price lists have for those who serve them.
_PROVIDERS: Final = {
    "anthropic": "anthropic",
    "azure_inference": "azure.ai.inference",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "groq": "groq",
    "mistralai": "mistral_ai",
    "ollama": "ollama",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
_PACKAGES: Final = "llama_index.llms."
_MAX_TOKENS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
_OPTIONS: Final = (
    *("temperature", "top_p", "top_k", "seed"),
    *("frequency_penalty", "presence_penalty"),
)


def model_of(llm: object) -> str | None:
    """The model that an LLM asks; None where it does not say."""
    try:
        name = getattr(getattr(llm, "metadata", None), "model_name", None)
    except Exception:  # noqa: BLE001 - OpenAI's raises for names that it does not know
        name = getattr(llm, "model", None)
    return name if isinstance(name, str) and name != "unknown" else None


def provider_of(llm: object) -> str | None:
    """Who serves an LLM, by the package that it comes from; None for one that is not known."""
    for kind in type(llm).__mro__:
        if kind.__module__.startswith(_PACKAGES):
            return _PROVIDERS.get(kind.__module__.removeprefix(_PACKAGES).partition(".")[0])
    return None


def output_cap(llm: object, given: Given) -> int | None:
    """Output tokens of a call at most, of all its choices together; None if nobody says.

    Args:
        llm: Who is asked.
        given: Keyword arguments of the call, which go over what is set on the LLM.
    """
    most = _most_tokens(llm, given)
    return None if most is None else most * int(_number(given, "n") or 1)


def options_of(llm: object, given: Given) -> dict[str, float]:
    """Common settings of a call, for its span."""
    found: dict[str, float] = {}
    for name in _OPTIONS:
        value = _number(given, name)
        value = _number(getattr(llm, "__dict__", None), name) if value is None else value
        if value is not None:
            found[name] = value
    if (most := _most_tokens(llm, given)) is not None:
        found["max_tokens"] = most
    return found


def _most_tokens(llm: object, given: Given) -> int | None:
    """Output tokens of a choice at most, by whatever name."""
    places = (given, getattr(llm, "additional_kwargs", None), getattr(llm, "__dict__", None))
    named = (_number(place, name) for place in places for name in _MAX_TOKENS)
    most = next((each for each in named if each is not None), None)
    return None if most is None or most < 1 else int(most)  # -1 means no cap to some servers


def given_to(arguments: Given) -> tuple[object, Given]:
    """The prompt or messages of a call, and its keyword arguments.

    Args:
        arguments: As the method bound them; callbacks of LlamaIndex take the prompt of a completion
            as one of `*args`.
    """
    keywords: dict[str, Any] = {**arguments, **cast("Given", arguments.get("kwargs") or {})}
    positional: tuple[object, ...] = arguments.get("args") or (None,)
    prompt = keywords.get("messages", keywords.get("prompt", positional[0]))
    return prompt, keywords


def _number(place: object, name: str) -> float | None:
    value = cast("Given", place).get(name) if isinstance(place, Mapping) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
