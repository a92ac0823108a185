"""Which runs handlers see, and what a stream is made of."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers import context as tracers
from langchain_core.tracers.context import collect_runs
from langchain_thinktwice.chat_model import StrategyChatModel

from integrations.langchain.tests.tracing.columns import column
from thinktwice import AtMost, Limiter, Vote

pytestmark = pytest.mark.filterwarnings(
    "ignore::thinktwice.errors.ThinktwiceWarning",
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning",
)


def of_three(model, **settings):
    """Exactly three samples, and the most frequent answer."""
    return StrategyChatModel(model, Vote(3, stop=AtMost(3)), **settings)


class Tokens(BaseCallbackHandler):
    """Keeps the chunks that it is told of."""

    run_inline = True

    def __init__(self):
        self.chunks = []

    def on_llm_new_token(self, token, *, chunk=None, **_):
        self.chunks.append((token, chunk))


class TestDetached:
    """By default one model run is all that a request shows."""

    async def test_callbacks(self, scripted, call, runs):
        """Those of the config, of the model around, and of a block."""
        model = of_three(scripted("4"), callbacks=[runs], tags=["mine"], metadata={"a": 1})
        with get_usage_metadata_callback() as counted, collect_runs() as collected:
            await call(model, "?", {"run_name": "asked"})
        [run] = runs.runs.values()
        assert (run["kind"], run["end"]) == ("model", "ok")
        assert run["tags"] == ["mine"]
        assert run["metadata"]["ls_model_name"] == "fake-1"
        assert len(collected.traced_runs) == 1
        assert counted.usage_metadata["fake-1"]["total_tokens"] == 3 * 6

    async def test_handlers_of_the_model_inside(self, scripted, call, runs):
        """They are its own: they see each call."""
        await call(of_three(scripted("4", callbacks=[runs])), "?")
        assert len(runs.runs) == 3

    async def test_environment_variables(self, scripted, call):
        """LangSmith's tracing sees one model run."""
        with column("environment") as seen:
            await call(of_three(scripted("4")), "?")
            names = [(run["name"], run["run_type"]) for run in seen.posted.values()]
        assert names == [("StrategyChatModel", "llm")]

    async def test_hooks_that_make_handlers(self, scripted, call, monkeypatch):
        """A handler that an environment variable asks for sees one model run."""
        told = []

        class Told(BaseCallbackHandler):
            run_inline = True

            def on_chat_model_start(self, *_, **__):
                told.append(True)

        monkeypatch.setenv("TOLD_EVERYWHERE", "true")
        hook = (ContextVar("told", default=None), False, Told, "TOLD_EVERYWHERE")
        tracers._configure_hooks.append(hook)  # older versions look at this very list
        try:
            await call(of_three(scripted("4")), "?")
            assert told == [True]
            await call(of_three(scripted("4"), trace_samples=True), "?")
            assert len(told) == 1 + 4
        finally:
            tracers._configure_hooks.remove(hook)

    async def test_the_context_is_as_before(self, scripted, call):
        """Nothing is left behind, also where a call fails."""
        before = var_child_runnable_config.get()
        with pytest.raises(ValueError, match="broken"):
            await call(of_three(scripted(ValueError("broken"))), "?")
        assert var_child_runnable_config.get() is before

    async def test_progress_is_told(self, scripted):
        """As events of the one run."""
        events = [e async for e in of_three(scripted("4")).astream_events("?", version="v2")]
        kinds = [e["name"] for e in events if e["event"] == "on_custom_event"]
        assert kinds == ["thinktwice.sample"] * 3 + ["thinktwice.decided"]
        assert len({e["run_id"] for e in events}) == 1

    def test_progress_is_told_in_sync_code(self, scripted):
        """Likewise."""
        told = []

        class Told(BaseCallbackHandler):
            run_inline = True

            def on_custom_event(self, name, data, *, run_id, **_):
                told.append((name, run_id))

        message = of_three(scripted("4")).invoke("?", {"callbacks": [Told()]})
        assert [name for name, _ in told] == ["thinktwice.sample"] * 3 + ["thinktwice.decided"]
        assert {f"lc_run--{run_id}" for _, run_id in told} == {message.id}


class TestTraced:
    """With `trace_samples=True` the samples are below the model's run."""

    async def test_the_tree(self, scripted, call, runs):
        """Model run, wrapper run, sample runs, the calls; inheriting what is inherited."""
        model = of_three(scripted("4"), trace_samples=True)
        await call(model, "?", {"callbacks": [runs], "tags": ["mine"], "metadata": {"a": 1}})
        calls = [run for run in runs.named("model") if run["parent"] is not None]
        path = ["model", "Vote[ScriptedModel]", "sample", "model"]
        assert [runs.path(run) for run in calls] == [path] * 3
        assert all("mine" in run["tags"] and run["metadata"]["a"] == 1 for run in calls)
        [sample, *_] = runs.named("sample")
        assert "ls_model_name" not in sample["metadata"]
        assert {run["end"] for run in runs.runs.values()} == {"ok"}

    async def test_streams(self, scripted, runs):
        """The tree is the same one, and the answer's chunk is that of the model's own run."""
        model = of_three(scripted("4"), trace_samples=True)
        chunks = [chunk async for chunk in model.astream("?", {"callbacks": [runs]})]
        assert len(chunks) == 1
        assert len(runs.named("sample")) == 3

    async def test_who_adds_up_counts_the_winner_twice(self, scripted, call):
        """As documented: the sum of the samples, and the one that was chosen."""
        with get_usage_metadata_callback() as counted:
            await call(of_three(scripted("4"), trace_samples=True), "?")
        assert counted.usage_metadata["fake-1"]["total_tokens"] == 4 * 6


class TestStreams:
    """The answer, in one chunk."""

    async def test_one_last_chunk(self, scripted):
        """With all that the message has."""
        calls = [{"name": "add", "args": {"a": "é"}, "id": "1"}]
        reply = AIMessage("4", tool_calls=calls, id="msg_1")
        model = of_three(scripted(reply))
        for chunks in (list(model.stream("?")), [c async for c in model.astream("?")]):
            [chunk] = chunks
            assert isinstance(chunk, AIMessageChunk)
            assert chunk.chunk_position == "last"
            assert (chunk.text, chunk.id) == ("4", "msg_1")
            assert chunk.tool_calls[0]["args"] == {"a": "é"}
            assert chunk.usage_metadata["total_tokens"] == 18
            assert chunk.response_metadata["thinktwice"]["launched"] == 3

    async def test_handlers_are_told_of_it_once(self, scripted):
        """By streams; by other calls only those that wait for chunks."""
        model, tokens = of_three(scripted("4")), Tokens()
        config = {"callbacks": [tokens]}
        list(model.stream("?", config))
        [_ async for _ in model.astream("?", config)]
        assert [token for token, _ in tokens.chunks] == ["4", "4"]
        await model.ainvoke("?", config)
        assert len(tokens.chunks) == 2
        off = of_three(scripted("4"), disable_streaming=True)
        assert [chunk.text for chunk in off.stream("?", config)] == ["4"]
        assert len(tokens.chunks) == 2

    @pytest.mark.parametrize("chained", [True, False])
    async def test_events(self, scripted, chained):
        """The model streams one chunk inside its run; samples stream nothing."""
        model = of_three(scripted("4"))
        runnable = model | StrOutputParser() if chained else model
        events = [e async for e in runnable.astream_events("?", version="v2")]
        told = [e for e in events if e["event"].startswith("on_chat_model")]
        assert [e["event"].rpartition("_")[2] for e in told] == ["start", "stream", "end"]
        chunk, message = told[1]["data"]["chunk"], told[2]["data"]["output"]
        assert (chunk.text, chunk.id) == (message.text, message.id)

    @pytest.mark.skipif(
        not hasattr(BaseChatModel, "_chat_model_stream_v3"), reason="an older LangChain has none"
    )
    async def test_events_of_version_3(self, scripted, runs):
        """Content blocks, in sync and async code."""
        model = of_three(scripted("4"))
        config = {"callbacks": [runs], "configurable": {"thinktwice_n": 2}}
        stream = await model.astream_events("?", config, version="v3")
        assert (message := await stream).text == "4"
        assert message.response_metadata["thinktwice"]["launched"] == 2
        stream = model.stream_events("?", config, version="v3")
        assert stream.output.response_metadata["thinktwice"]["launched"] == 2
        assert [run["end"] for run in runs.runs.values()] == ["ok", "ok"]

    async def test_content_of_version_1(self, scripted):
        """Blocks in chunks and messages alike."""
        model = of_three(scripted("4"), output_version="v1")
        blocks = [{"type": "text", "text": "4"}]
        assert (await model.ainvoke("?")).content == blocks
        [chunk] = [c async for c in model.astream("?")]
        assert [{k: b[k] for k in ("type", "text")} for b in chunk.content] == blocks

    async def test_a_stream_that_is_closed_early_ends_its_run(self, scripted, runs):
        """The answer is there already: the run is not left open."""
        stream = of_three(scripted("4")).astream("?", {"callbacks": [runs]})
        await anext(stream)
        await stream.aclose()
        assert [run["end"] for run in runs.runs.values()] == ["ok"]

    async def test_a_stream_that_is_cancelled(self, scripted, runs):
        """Recalls the samples under way."""
        model = scripted("4", seconds=30)
        task = asyncio.create_task(anext(of_three(model).astream("?")))
        while model.calls < 3:  # noqa: ASYNC110 - the model has no event for it
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not model._in_flight

    async def test_errors_of_streams(self, scripted, runs):
        """They leave as they are raised."""
        model = of_three(scripted(TimeoutError("slow")))
        with pytest.raises(TimeoutError, match="slow"):
            [_ async for _ in model.astream("?", {"callbacks": [runs]})]
        with pytest.raises(TimeoutError, match="slow"):
            list(model.stream("?"))
        assert [run["end"] for run in runs.runs.values()] == ["TimeoutError"]


class TestBatches:
    """A batch has one cap for all its samples."""

    async def test_one_cap(self, scripted):
        """`max_concurrency` binds across inputs."""
        model = scripted("4", seconds=0.01)
        out = await of_three(model).abatch(["?"] * 3, {"max_concurrency": 2})
        assert [message.text for message in out] == ["4"] * 3
        assert model.most_in_flight == 2

    def test_one_cap_on_threads(self, scripted):
        """Likewise; results come as they are done."""
        model = scripted("4", seconds=0.01)
        made = of_three(model)
        done = list(made.batch_as_completed(["?"] * 3, {"max_concurrency": 2}))
        assert sorted(index for index, _ in done) == [0, 1, 2]
        assert model.most_in_flight == 2
        assert len(made.batch(["?", "!"], {"max_concurrency": 1})) == 2
        assert model.most_in_flight == 2

    async def test_a_limiter(self, scripted):
        """The shared cap of the wrapper holds for the model."""
        model = scripted("4", seconds=0.01)
        await of_three(model, limiter=Limiter(1)).ainvoke("?")
        assert model.most_in_flight == 1

    async def test_generate(self, scripted, call):
        """Several inputs by LangChain's own method, each with three samples."""
        model = scripted("4")
        inputs = [[AIMessage("?")], [AIMessage("!")]]
        result = await of_three(model).agenerate(inputs)
        assert [each[0].text for each in result.generations] == ["4", "4"]
        assert model.calls == 6
