"""Several samples by one request for n choices, by LlamaIndex's OpenAI client."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from arithmetic_lm.faults import Faults
from arithmetic_lm.server import ArithmeticServer
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.prompts import PromptTemplate
from llama_index_thinktwice.llm import StrategyLLM
from llama_index_thinktwice.llm.native import REFUSED, choices_of
from pydantic import BaseModel

from thinktwice import AtMost, Budget, UsageError, Vary, Vote, collect
from thinktwice.choices import IGNORED

module = pytest.importorskip("llama_index.llms.openai")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

NAME = "gpt-4o-mini"


@pytest.fixture
def served():
    """Make a server on a thread, of a reply and faults."""

    def make(reply: Any = "4", **faults: Any) -> Any:
        text = reply if callable(reply) else lambda prompt, number: reply
        return ArithmeticServer.in_thread(reply=text, faults=Faults(**faults), names=[NAME])

    return make


@pytest.fixture
def choosing():
    """Make a `StrategyLLM` over a client that launches all n at once."""

    def make(server: Any, n: int = 4, **settings: Any) -> StrategyLLM:
        given = {"model": NAME, "api_key": "none", "max_retries": 0, "temperature": 0.8}
        inner = module.OpenAI(api_base=server.url, **given)
        strategy = Vote(n, stop=AtMost(n), prefer="latency", hedge=False)
        return StrategyLLM(llm=inner, strategy=strategy, native_n=True, **settings)

    return make


def asked(server: Any) -> list[int]:
    """The n of each request."""
    return [each.n for each in server.log]


async def test_one_request_for_all_samples(served, choosing, ask):
    """The prompt is paid for once; each choice is a sample and a call of the run."""
    with served() as server, collect() as results:
        response = await ask(choosing(server))
        [record] = server.log
    [result] = results
    assert ask.text(response) == "4"
    assert (result.launched, result.ledger.total.calls) == (4, 4)
    total = result.ledger.total.usage
    assert total.input_tokens == len("2 + 2")  # the scripted server counts letters
    assert total.output_tokens == record.output_tokens == 4
    assert response.additional_kwargs["prompt_tokens"] == len("2 + 2")
    assert [len(sample.value.raw.choices) for sample in result.samples] == [1] * 4
    assert len({id(sample.value) for sample in result.samples}) == 4


async def test_log_probabilities_of_each_choice(served, choosing, question, call):
    """Those of the sampled tokens, which LlamaIndex leaves out where no others are asked for."""
    with served("42") as server, collect() as results:
        await call(choosing(server, 2), "chat", question, logprobs=True)
    assert [sample.logprobs for sample in results[0].samples] == [(0.0, 0.0)] * 2
    assert [sample.finish_reason for sample in results[0].samples] == ["stop"] * 2


async def test_a_provider_that_makes_one_choice(served, choosing, question, call):
    """The others are asked for singly, with a warning; and so are all later ones."""
    with served(rates={"one choice": 1.0}) as server, collect() as results:
        llm = choosing(server, 3)
        await call(llm, "chat", question)
        await call(llm, "chat", question)
        assert asked(server)[0] == 3
        assert set(asked(server)[1:]) == {1}
    assert IGNORED in results[0].warnings
    assert results[0].ledger.total.calls == 3


async def test_a_provider_that_refuses(choosing, served, question, call, monkeypatch):
    """Likewise; what was refused is in the books."""

    class BadRequestError(Exception):
        status_code = 400

    for name in ("_chat", "_achat"):
        monkeypatch.setattr(module.OpenAI, name, _refusing(name, BadRequestError))
    with served() as server, collect() as results:
        await call(choosing(server, 3), "chat", question)
        assert asked(server) == [1, 1, 1]
    assert REFUSED in results[0].warnings
    assert results[0].value.message.content == "4"


def _refusing(name: str, error: type[Exception]) -> Any:
    """A method that refuses n."""
    own = getattr(module.OpenAI, name)

    async def _achat(self: Any, messages: Any, **kwargs: Any) -> Any:
        if "n" in kwargs:
            raise error("no n here")
        return await own(self, messages, **kwargs)

    def _chat(self: Any, messages: Any, **kwargs: Any) -> Any:
        if "n" in kwargs:
            raise error("no n here")
        return own(self, messages, **kwargs)

    return {"_chat": _chat, "_achat": _achat}[name]


async def test_other_errors_are_errors(served, choosing, question, call):
    """Nothing is asked singly."""
    with served(rates={"500": 1.0}) as server:
        with pytest.raises(Exception, match="500"):
            await call(choosing(server, 2), "chat", question)
        assert 1 not in asked(server)[:1]


async def test_the_budget_has_each_choice_as_a_call(served, choosing, question, call):
    """So that a cap on calls means samples."""
    with served() as server:
        await call(choosing(server, 8, budget=Budget(calls=3)), "chat", question)
        assert sum(asked(server)) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"options": lambda index: {"seed": index}},
        {"strategy": Vote(3, vary=Vary(temperatures=(0.3, 0.9)))},
    ],
    ids=["options", "vary"],
)
def test_samples_that_differ_are_no_choices(settings):
    """They cannot be of one request."""
    inner = module.OpenAI(model=NAME, api_key="none", temperature=0.8)
    with pytest.raises(UsageError, match="cannot vary"):
        StrategyLLM(llm=inner, native_n=True, **{"strategy": Vote(3), **settings})


def test_other_llms_hand_on_one_choice(scripted):
    """Which says what to do."""
    with pytest.raises(UsageError, match="OpenAI"):
        StrategyLLM(llm=scripted("4"), strategy=Vote(3), native_n=True)


def test_derived_llms_will_do():
    """As those for servers like OpenAI's."""

    class Like(module.OpenAI):
        pass

    inner = Like(model=NAME, api_key="none", temperature=0.8)
    assert StrategyLLM(llm=inner, strategy=Vote(3), native_n=True).native_n


async def test_structured_output_by_the_clients_own_method(served, question, call):
    """As `OpenAI.structured_predict` does it: a response format, and JSON that is parsed."""

    class Sum(BaseModel):
        total: int

    given: dict[str, Any] = {"model": NAME, "api_key": "none", "max_retries": 0, "temperature": 1}
    replies = ['{"total": 4}', '{"total":   5}', '{"total": 5}']
    with served(lambda prompt, number: replies[number % 3]) as server, collect() as results:
        inner = module.OpenAI(api_base=server.url, **given)
        if not inner._should_use_structure_outputs():
            pytest.skip("these versions of the client and of openai have no response format")
        llm = StrategyLLM(llm=inner, strategy=Vote(3, stop=AtMost(3)))
        made = await call(llm, "structured_predict", Sum, PromptTemplate("2 + 3"))
    assert made == Sum(total=5)
    assert results[0].agreement == pytest.approx(2 / 3)


class TestChoices:
    """Of the four kinds of responses there are."""

    CHAT: ClassVar = {
        "finish_reason": "length",
        "logprobs": {
            "content": [
                {
                    "token": "b",
                    "logprob": -1.0,
                    "bytes": None,
                    "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": None}],
                }
            ]
        },
        "message": {"role": "assistant", "content": "b"},
    }
    TEXT: ClassVar = {
        "finish_reason": "length",
        "text": "b",
        "logprobs": {"token_logprobs": [-1.0], "tokens": ["b"], "top_logprobs": [{"b": -1.0}]},
    }

    @pytest.mark.parametrize("chats", [True, False], ids=["chat", "complete"])
    @pytest.mark.parametrize("kind", ["CHAT", "TEXT"])
    def test_each_is_what_the_client_would_have_made_of_it(self, kind, chats):
        """Text, finish reason and log-probabilities; the usage of all is in the first."""
        types = pytest.importorskip("openai.types")
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        made = [{**getattr(self, kind), "index": index} for index in range(2)]
        fields = {"id": "1", "created": 0, "model": NAME, "choices": made, "usage": usage}
        if kind == "CHAT":
            raw = types.chat.ChatCompletion(object="chat.completion", **fields)
        else:
            raw = types.Completion(object="text_completion", **fields)
        message = ChatMessage("a", role="assistant")
        whole = ChatResponse(message=message, raw=raw) if chats else CompletionResponse(text="a")
        whole.raw = raw
        first, second = choices_of(whole, module.OpenAI(model=NAME, api_key="none"))
        assert (first.usage.total_tokens, second.usage) == (5, None)
        for each in (first, second):
            assert each.text == "b"
            assert each.finish_reason == "length"
            assert each.logprobs == (-1.0,)
            assert each.top_logprobs == ((-1.0,),)
            assert isinstance(each.value, type(whole))

    def test_a_response_without_choices_is_one(self, scripted):
        """As of a server that is not much like OpenAI's."""
        response = CompletionResponse(text="a", raw={"choices": "none"})
        assert [each.text for each in choices_of(response, scripted("a"))] == ["a"]
