"""What responses say of tokens, in the words of each provider's package."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import MockLLM
from llama_index_thinktwice.accounting.asking import (
    given_to,
    model_of,
    options_of,
    output_cap,
    provider_of,
)
from llama_index_thinktwice.accounting.usage import read_reply

from thinktwice import Usage


def chat(raw=None, message=None, **fields):
    """A response."""
    return ChatResponse(message=message or ChatMessage("a"), raw=raw, **fields)


OPENAI = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
ANTHROPIC = {
    "input_tokens": 10,
    "output_tokens": 5,
    "cache_read_input_tokens": 3,
    "cache_creation_input_tokens": 2,
}
GOOGLE = {"prompt_token_count": 10, "candidates_token_count": 5, "thoughts_token_count": 7}
GOOGLE_CUT = {
    **GOOGLE,
    "candidates_token_count": None,
    "tool_use_prompt_token_count": 3,
}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (chat({"usage": OPENAI}), (10, 5, 4, None, 2)),
        (chat(SimpleNamespace(usage=SimpleNamespace(**OPENAI))), (10, 5, 4, None, 2)),
        (chat({"usage": ANTHROPIC}), (15, 5, 3, 2, None)),
        (chat({"usage_metadata": GOOGLE}), (10, 12, None, None, 7)),
        (chat({"usage_metadata": GOOGLE_CUT}), (13, 7, None, None, 7)),
        (chat({"prompt_eval_count": 10, "eval_count": 5}), (10, 5, None, None, None)),
        (
            chat(additional_kwargs={"prompt_tokens": 1, "completion_tokens": 2}),
            (1, 2, None, None, None),
        ),
        (
            chat(message=ChatMessage("a", additional_kwargs={"prompt_tokens": 1})),
            (1, None, None, None, None),
        ),
        (CompletionResponse(text="a", raw={"usage": OPENAI}), (10, 5, 4, None, 2)),
    ],
    ids=[
        "openai",
        "objects",
        "anthropic",
        "google",
        "google, cut short while it thought",
        "ollama",
        "kwargs",
        "message",
        "completion",
    ],
)
def test_counts(response, expected):
    """Cached input is part of the input, and reasoning of the output."""
    usage = read_reply(response).usage
    assert usage is not None
    assert usage.source == "provider"
    assert expected == (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


@pytest.mark.parametrize(
    "response",
    [None, "text", chat(), chat({}), chat({"usage": None}), chat(object()), chat({"usage": {}})],
)
def test_no_counts(response):
    """Unknown, and never 0."""
    assert read_reply(response).usage is None


def test_zero_is_a_count():
    """A reply that is empty."""
    usage = read_reply(chat({"usage": {"prompt_tokens": 3, "completion_tokens": 0}})).usage
    assert usage == Usage(input_tokens=3, output_tokens=0, source="provider")


@pytest.mark.parametrize(
    ("raw", "tier"),
    [
        ({"usage": OPENAI, "service_tier": "priority"}, "priority"),
        ({"usage": {**ANTHROPIC, "service_tier": "batch"}}, "batch"),
        ({"usage": OPENAI, "service_tier": "default"}, None),
        ({"usage": OPENAI}, None),
    ],
)
def test_the_service_tier(raw, tier):
    """OpenAI names it beside the usage, Anthropic in it; the standard one is none."""
    assert read_reply(chat(raw)).usage.tier == tier


def test_the_model_that_answered():
    """By the provider's name for it."""
    assert read_reply(chat({"model": "gpt-4o-2024-08-06"})).model == "gpt-4o-2024-08-06"
    assert read_reply(chat({"model": 3})).model is None


# ---- what is asked -------------------------------------------------------------------------------


def test_who_is_asked(scripted):
    """Its model by its metadata; its provider by its package."""
    openai = pytest.importorskip("llama_index.llms.openai", reason="not installed")

    class Own(openai.OpenAI):
        """Of a user."""

    llm = Own(model="gpt-4o", api_key="none", max_tokens=7)
    assert (model_of(llm), provider_of(llm)) == ("gpt-4o", "openai")
    assert (model_of(scripted("a")), provider_of(scripted("a"))) == ("fake-1", None)
    assert model_of(MockLLM()) is None
    unknown = openai.OpenAI(model="my-own", api_key="none")  # its metadata raise
    assert model_of(unknown) == "my-own"


def test_output_caps(scripted):
    """The call's own goes over that of the LLM; no cap is none."""
    llm = scripted("a", max_tokens=50)
    assert output_cap(llm, {}) == 50
    assert output_cap(llm, {"max_tokens": 7}) == 7
    assert output_cap(llm, {"max_completion_tokens": 7, "n": 3}) == 21
    assert output_cap(scripted("a"), {}) is None
    assert output_cap(scripted("a"), {"max_tokens": -1}) is None


def test_options_for_spans(scripted):
    """Numbers alone."""
    llm = scripted("a", temperature=0.5)
    assert options_of(llm, {"seed": 3, "top_p": "x"}) == {"temperature": 0.5, "seed": 3}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "num_predict"])
def test_max_tokens_is_a_setting_by_any_name(scripted, name):
    """On the call, or on the LLM; of one choice, however many are asked for."""
    assert options_of(scripted("a"), {name: 50, "n": 4}) == {"max_tokens": 50}
    assert options_of(scripted("a", max_tokens=40), {}) == {"max_tokens": 40}
    assert options_of(scripted("a"), {name: -1}) == {}


@pytest.mark.parametrize(
    "arguments",
    [{"prompt": "p"}, {"args": ("p",), "kwargs": {}}, {"kwargs": {"prompt": "p"}, "args": ()}],
)
def test_the_prompt_wherever_it_is_bound(arguments):
    """By place and by name."""
    assert given_to(arguments)[0] == "p"
