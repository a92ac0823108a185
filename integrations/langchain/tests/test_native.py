"""Several samples by one request for n choices."""

from __future__ import annotations

import pytest
from arithmetic_lm.server import ArithmeticServer
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import ConfigurableField
from langchain_thinktwice import best_of_n, vote
from langchain_thinktwice.diversity.caching import SampleKeyedCache
from langchain_thinktwice.diversity.native import REFUSED

from thinktwice import AtMost, Budget, Price, UsageError, Vary
from thinktwice.choices import IGNORED

langchain_openai = pytest.importorskip("langchain_openai")

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

PROMPT_TOKENS, CHOICE_TOKENS = 100, 5


class BadRequestError(Exception):
    """As a provider's client raises it."""

    status_code = 400


def count(request) -> int:
    return int(request["kwargs"].get("n") or 1)


@pytest.fixture
def choosing(model_class):
    """Makes a model of different choices, each with the usage of the whole request."""

    class Choosing(model_class):
        most: int = 99
        refuses: type[Exception] | None = None

        def _end(self, request):
            n = min(count(request), self.most)
            if n > 1 and self.refuses is not None:
                raise self.refuses("no n here")
            made = sum(min(count(each), self.most) for each in self.log[: request["index"]])
            return ChatResult(generations=[self.choice(made + i, i, n) for i in range(n)])

        def choice(self, number, index, n):
            written = CHOICE_TOKENS * n
            usage = {
                "input_tokens": PROMPT_TOKENS,
                "output_tokens": written,
                "total_tokens": PROMPT_TOKENS + written,
            }
            called = {"name": "pick", "args": {"number": number}, "id": f"call-{number}"}
            message = AIMessage(f"choice {number}", tool_calls=[called], usage_metadata=usage)
            info = {
                "finish_reason": "length" if index == 2 else "stop",
                "logprobs": {"content": [{"token": "a", "logprob": -float(index)}]},
            }
            return ChatGeneration(message=message, generation_info=info)

        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            raise AssertionError("nothing is to be streamed")
            yield ChatGenerationChunk(message=None)

    def make(**settings):
        return Choosing(replies=["unused"], **settings)

    return make


def all_of(runnable, n=4, **settings):
    """A vote that launches all n at once, with its result."""
    given = {"key": lambda _: "same", "prefer": "latency", "native_n": True, **settings}
    return vote(runnable, n=n, stop=AtMost(n), include_result=True, **given)


def asked(model) -> list[int]:
    """The n of each request."""
    return [count(request) for request in model.log]


async def test_one_request_for_all_samples(choosing, call):
    """The prompt is paid for once, each choice is a sample and a call of the run."""
    model = choosing()
    prices = {"fake-1": Price(1, 2)}
    result = (await call(all_of(model, 4, prices=prices), "?"))["result"]
    assert asked(model) == [4]
    assert [s.value.text for s in result.samples] == [f"choice {i}" for i in range(4)]
    total = result.ledger.total
    assert (total.calls, result.launched) == (4, 4)
    assert total.usage.input_tokens == PROMPT_TOKENS
    assert total.usage.output_tokens == 4 * CHOICE_TOKENS
    assert total.unpriced == 0
    assert float(total.cost) == pytest.approx((PROMPT_TOKENS + 2 * 4 * CHOICE_TOKENS) / 1e6)
    assert result.warnings == ()


async def test_each_choice_has_its_own_ending(choosing, call):
    """Finish reasons, log-probabilities, tool calls and message ids are those of the choice."""
    result = (await call(all_of(choosing(), 3, key=None), "?"))["result"]
    assert [sample.finish_reason for sample in result.samples] == ["stop", "stop", "length"]
    assert [sample.logprobs for sample in result.samples] == [(0.0,), (-1.0,), (-2.0,)]
    assert [sample.answer is None for sample in result.samples] == [False, False, True]
    numbers = [sample.value.tool_calls[0]["args"]["number"] for sample in result.samples]
    assert numbers == [0, 1, 2]
    assert len({sample.value.id for sample in result.samples}) == 3


async def test_callbacks_see_one_call(choosing, call, runs):
    """One run of a sample with one run of the model in it."""
    await call(all_of(choosing(), 4), "?", {"callbacks": [runs]})
    assert len(runs.named("sample")) == 1
    [model_run] = runs.named("model")
    assert runs.path(model_run)[-2:] == ["sample", "model"]


async def test_what_is_bound_stays(choosing, call):
    """Call arguments, retries, configurable fields and options."""
    model = choosing()
    bound = model.bind(top_p=0.9).with_retry()
    await call(all_of(bound, 2, options={"temperature": 0.7}), "?")
    assert model.log[0]["kwargs"] == {"top_p": 0.9, "temperature": 0.7, "n": 2}
    configurable = model.configurable_fields(temperature=ConfigurableField(id="t"))
    await call(all_of(configurable, 2), "?")
    assert asked(model) == [2, 2]


async def test_too_few_choices_are_topped_up(choosing, call):
    """By further requests for the rest."""
    model = choosing(most=3)
    result = (await call(all_of(model, 8), "?"))["result"]
    assert asked(model) == [8, 5, 2]
    assert len({sample.value.text for sample in result.samples}) == 8


async def test_a_provider_that_ignores_n(choosing, call):
    """Is asked singly from then on, and that is said."""
    model = choosing(most=1)
    chain = all_of(model, 3)
    result = (await call(chain, "?"))["result"]
    assert sorted(asked(model)) == [1, 1, 3]
    assert len(result.samples) == 3
    assert result.warnings == (IGNORED,)
    assert (await call(chain, "?"))["result"].warnings == ()
    assert asked(model)[3:] == [1, 1, 1]


@pytest.mark.parametrize("refusal", [TypeError, BadRequestError])
async def test_a_provider_that_refuses_n(choosing, call, refusal):
    """Likewise; the refused request is in the books."""
    model = choosing(refuses=refusal)
    result = (await call(all_of(model, 3), "?"))["result"]
    assert sorted(asked(model)) == [1, 1, 1, 3]
    assert result.warnings == (REFUSED,)
    assert [entry.status for entry in result.ledger.entries].count("error") == 1
    assert len(result.samples) == 3
    assert (await call(all_of(model, 3), "?"))["result"].warnings == (REFUSED,)  # a new wrapper


async def test_a_model_that_takes_no_n(model_class, call):
    """Python refuses it before anything is sent: the calls in the books are those that ran."""

    class Plain(model_class):
        def _generate(self, messages, stop=None, run_manager=None):
            return super()._generate(messages, stop, run_manager)

        async def _agenerate(self, messages, stop=None, run_manager=None):
            return await super()._agenerate(messages, stop, run_manager)

    model = Plain(replies=["a"])
    chain = all_of(model, 8)
    result = (await call(chain, "?"))["result"]
    assert result.warnings == (REFUSED,)
    assert result.ledger.total.calls == len(model.log) == len(result.samples) == 8
    assert {entry.status for entry in result.ledger.entries} == {"ok"}
    again = (await call(chain, "?"))["result"]
    assert (again.warnings, again.ledger.total.calls) == ((), 8)


async def test_other_errors_are_failed_samples(choosing, call):
    """And those that wait for the request make another."""
    model = choosing(refuses=ConnectionError)
    result = (await call(all_of(model, 3), "?"))["result"]
    assert asked(model) == [3, 2, 1]
    assert [sample.error is None for sample in result.samples] == [False, False, True]


async def test_a_budget_reserves_all_choices(choosing, call):
    """n times max tokens; what does not fit is asked for in smaller requests."""
    model = choosing(max_tokens=100)
    chain = all_of(model, 8, budget=Budget(tokens=620))
    result = (await call(chain, "?"))["result"]
    assert asked(model)[0] == 4
    assert result.ledger.total.usage.total_tokens <= 620
    assert result.value is not None


async def test_a_budget_for_one(choosing, call):
    """Is spent on one, and the provider is not taken for one that ignores n."""
    model = choosing(max_tokens=100)
    chain = all_of(model, 4, budget=Budget(tokens=180))
    result = (await call(chain, "?"))["result"]
    assert asked(model)[0] == 1
    assert IGNORED not in result.warnings


async def test_a_budget_counts_choices(choosing, call):
    """Each is a call."""
    model = choosing()
    result = (await call(all_of(model, 8, budget=Budget(calls=3)), "?"))["result"]
    assert sum(asked(model)) == 3
    assert result.launched == 3


async def test_nothing_is_streamed(choosing):
    """Chunks of several choices would be mixed up: the model is asked for whole messages."""
    model = choosing()
    events = [event async for event in all_of(model, 3).astream_events("?")]
    texts = [s.value.text for s in events[-1]["data"]["output"]["result"].samples]
    assert texts == ["choice 0", "choice 1", "choice 2"]
    assert model.disable_streaming is False


async def test_best_of_n(choosing, call):
    """Each choice is judged."""
    model = choosing()
    chain = best_of_n(
        model, n=3, verifier=lambda message: "1" in message.text, native_n=True, stop=AtMost(3)
    )
    assert (await call(chain, "?")).text == "choice 1"
    assert asked(model) == [3]


@pytest.mark.parametrize("kind", [InMemoryCache, lambda: SampleKeyedCache(InMemoryCache())])
async def test_caches(choosing, call, kind):
    """The choices of a request are one entry, and different samples."""
    model = choosing(cache=kind())
    cold = (await call(all_of(model, 3), "?"))["result"]
    warm = (await call(all_of(model, 3), "?"))["result"]
    assert asked(model) == [3]
    assert [s.value.text for s in warm.samples] == [s.value.text for s in cold.samples]
    assert all(sample.cached and sample.cost == 0 for sample in warm.samples)
    assert warm.warnings == ()


def test_where_it_cannot_work(choosing):
    """Is refused, with what to do."""
    model = choosing()
    for runnable, settings, remedy in (
        (model | StrOutputParser(), {}, "put the wrapper around the model"),
        (model.with_fallbacks([model]), {}, "put the wrapper around the model"),
        (model, {"options": lambda index: {"seed": index}}, "cannot vary by sample"),
        (model, {"vary": Vary(temperatures=[0.5, 1.0])}, "cannot vary by sample"),
        (model, {"options": {"n": 2}}, "leave n= out"),
        (model.bind(n=2), {}, "leave n= out"),
        (model, {"native_n": 8}, "give True or False"),
    ):
        with pytest.raises(UsageError, match=remedy) as raised:
            vote(runnable, n=4, **{"native_n": True, **settings})
        assert raised.value.parameter == "native_n"
        assert raised.value.value is settings.get("native_n", True)
    streaming = langchain_openai.ChatOpenAI(model="x", api_key="none", streaming=True)
    with pytest.raises(UsageError, match="leave streaming=True out"):
        vote(streaming, n=4, native_n=True)


def test_it_is_off_by_default(choosing):
    """Nobody gets it unasked."""
    model = choosing()
    all_of(model, 3, native_n=False).invoke("?")
    assert asked(model) == [1, 1, 1]


async def test_on_the_wire(call):
    """A real client sends n once, and reads each choice."""
    with ArithmeticServer.in_thread(reply=lambda prompt, number: "4") as server:
        model = langchain_openai.ChatOpenAI(
            model="arithmetic-lm", base_url=server.url, api_key="none", max_retries=0, logprobs=True
        )
        result = (await call(all_of(model, 5), "2 + 2"))["result"]
        assert [(record.n, record.stream) for record in server.log] == [(5, False)]
        one = (await call(all_of(model, 5, native_n=False), "2 + 2"))["result"]
        assert len(server.log) == 6
    assert [sample.value.text for sample in result.samples] == ["4"] * 5
    assert [sample.finish_reason for sample in result.samples] == ["stop"] * 5
    assert all(sample.logprobs == (0.0,) for sample in result.samples)
    usage, singly = result.ledger.total.usage, one.ledger.total.usage
    assert usage.source == "provider"
    assert singly.input_tokens == 5 * usage.input_tokens
    assert singly.output_tokens == usage.output_tokens


async def test_on_the_wire_under_events():
    """Also where something asks for a stream."""
    with ArithmeticServer.in_thread(reply=lambda prompt, number: "4") as server:
        model = langchain_openai.ChatOpenAI(
            model="arithmetic-lm", base_url=server.url, api_key="none", max_retries=0
        )
        async for _ in all_of(model, 3).astream_events("2 + 2"):
            pass
        assert [(record.n, record.stream) for record in server.log] == [(3, False)]
