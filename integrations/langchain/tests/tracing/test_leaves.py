"""What our span of a model call says of the response, and of the request."""

from __future__ import annotations

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage
from langchain_thinktwice import vote

from tests.contracts.walking import Walk
from thinktwice import AtMost
from thinktwice.testing import captured_spans

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def reply(**metadata):
    return AIMessage("a", usage_metadata=USAGE, response_metadata=metadata)


async def leaves(call, model, n=1, **settings):
    """Attributes of the calls of a vote."""
    with captured_spans() as spans:
        await call(vote(model, n=n, stop=AtMost(n), **settings), "q")
    walk = Walk(spans)
    walk.hold()
    return [span.attributes for span in walk.of("call")]


async def test_how_it_ended_and_its_id(call, scripted):
    """As the message has them."""
    (leaf,) = await leaves(call, scripted(reply(finish_reason="stop", id="r-1")))
    assert leaf["gen_ai.response.finish_reasons"] == ("stop",)
    assert leaf["gen_ai.response.id"] == "r-1"


async def test_nothing_is_made_up(call, scripted):
    """LangChain has names of its own for runs, which are none of the provider's."""
    (leaf,) = await leaves(call, scripted(reply()))
    assert not [name for name in leaf if name.endswith(("finish_reasons", "response.id"))]


async def test_settings_of_the_request(call, scripted):
    """As they reach the model."""
    model = scripted(reply(finish_reason="length")).bind(temperature=0.5, top_k=7, stop=["secret"])
    (leaf,) = await leaves(call, model)
    assert leaf["gen_ai.request.temperature"] == 0.5
    assert leaf["gen_ai.request.top_k"] == 7
    assert "secret" not in str(dict(leaf))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "num_predict"])
async def test_max_tokens_by_any_name(name, call, scripted):
    """`ChatOpenAI(max_tokens=50)` says max_completion_tokens, Ollama num_predict."""
    model = scripted(reply()).bind(**{name: 50})
    (leaf,) = await leaves(call, model)
    assert leaf["gen_ai.request.max_tokens"] == 50


async def test_settings_of_a_model_that_tells_langchain_alone(call, scripted):
    """Some leave them out of what they say of a request."""
    (leaf,) = await leaves(call, scripted(reply(), temperature=0.5))
    assert leaf["gen_ai.request.temperature"] == 0.5
    (leaf,) = await leaves(call, scripted(reply(), temperature=0.5).bind(temperature=0.9))
    assert leaf["gen_ai.request.temperature"] == 0.9


async def test_what_comes_from_a_cache_is_no_response(call, scripted):
    """Its id is that of an earlier one."""
    set_llm_cache(InMemoryCache())
    try:
        model = scripted(reply(finish_reason="stop", id="r-1"))
        model.cache = True
        await call(model, "q")
        found = await leaves(call, model)
    finally:
        set_llm_cache(None)
    assert model.calls == 1
    assert not [leaf for leaf in found if "gen_ai.response.id" in leaf]
