"""An application that a vendor's SDK traces: run by the tests, in that vendor's environment.

    python application.py PARTY REQUEST

PARTY is one of the functions below that set an SDK up, and REQUEST one of those that ask. The last
line that it prints is what the ledger has as reported: tokens in, tokens out, and cost.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from thinktwice import AtMost, BestOfN, Completion, Price, Usage, Vote, solve
from thinktwice.testing import ScriptedSampler
from thinktwice.workflow import collect

URL = os.environ["SINK"]
PRICES = {"gpt-4o": Price("100", "1000")}  # of no list: so it shows whose cost a span has
BEST = BestOfN(3, verifier=lambda text: 0.5)


# ---- what vendors say to write, each in its own manner; gives what sends all at the end --------


def logfire():
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    return logfire.shutdown


def logfire_openai():
    import logfire

    finish = globals()["logfire"]()
    logfire.instrument_openai()
    return finish


def langfuse():
    from langfuse import Langfuse

    return Langfuse(public_key="pk-lf-1", secret_key="sk-lf-1").flush


def langfuse_openai():
    import langfuse.openai  # noqa: F401 - patches the client

    return globals()["langfuse"]()


def ddtrace():
    import ddtrace.auto  # noqa: F401 - sets it up
    from ddtrace.trace import tracer

    return tracer.shutdown


def ddtrace_llmobs():
    from ddtrace.llmobs import LLMObs

    finish = ddtrace()
    LLMObs.enable(ml_app="application", agentless_enabled=False)
    return finish


def openlit():
    import openlit
    from opentelemetry import trace

    openlit.init(application_name="application")
    return lambda: trace.get_tracer_provider().force_flush()


def traceloop():
    from opentelemetry import trace
    from traceloop.sdk import Traceloop

    Traceloop.init(app_name="application", api_endpoint=URL, telemetry_enabled=False)
    return lambda: trace.get_tracer_provider().force_flush()


def braintrust():
    from braintrust.otel import BraintrustSpanProcessor
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    to = {"api_key": "none", "parent": "project_name:mine", "api_url": URL}
    provider.add_span_processor(BraintrustSpanProcessor(**to, filter_ai_spans=True))
    return provider.force_flush


# ---- requests: each gives its ledger -----------------------------------------------------------


async def core():
    """A sampler of the user's own, which nobody else traces."""
    ask = ScriptedSampler(["391"], model="gpt-4o", input_tokens=10, output_tokens=3)
    return (await solve("17 * 23", sampler=ask, strategy=BEST, prices=PRICES)).ledger


async def client():
    """The provider's SDK."""
    from openai import AsyncOpenAI

    openai = AsyncOpenAI(max_retries=0)

    async def ask(prompt):
        messages = [{"role": "user", "content": prompt}]
        reply = await openai.chat.completions.create(model="gpt-4o", messages=messages)
        usage = Usage(
            input_tokens=reply.usage.prompt_tokens,
            output_tokens=reply.usage.completion_tokens,
            source="provider",
        )
        return Completion(value=reply.choices[0].message.content, usage=usage, model=reply.model)

    ask.model = "gpt-4o"
    return (await solve("17 * 23", sampler=ask, strategy=BEST, prices=PRICES)).ledger


async def chain():
    """A chain of LangChain; with the callback handler of Langfuse where that is asked for."""
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI
    from langchain_thinktwice import with_strategy

    callbacks = []
    if os.environ.get("HANDLER"):
        from langfuse.langchain import CallbackHandler

        callbacks = [CallbackHandler()]
    prompt = ChatPromptTemplate.from_template("{question}")
    inner = prompt | ChatOpenAI(model="gpt-4o", max_retries=0)
    vote = Vote(3, key=lambda message: message.text, stop=AtMost(3))
    wrapped = with_strategy(inner, vote, prices=PRICES, include_result=True)
    out = await wrapped.ainvoke({"question": "17 * 23"}, {"callbacks": callbacks})
    return out["result"].ledger


async def chat_model():
    """A strategy that is a chat model of LangChain itself."""
    from langchain_openai import ChatOpenAI
    from langchain_thinktwice import StrategyChatModel

    inner = ChatOpenAI(model="gpt-4o", max_retries=0)
    with collect() as results:
        await StrategyChatModel(inner, Vote(3, stop=AtMost(3)), prices=PRICES).ainvoke("17 * 23")
    return results[0].ledger


if __name__ == "__main__":
    os.environ |= {"OPENAI_BASE_URL": f"{URL}/v1", "OPENAI_API_KEY": "none"}
    finish = globals()[sys.argv[1]]()
    reported = asyncio.run(globals()[sys.argv[2]]()).reported
    finish()
    usage = reported.usage
    print(json.dumps([usage.input_tokens, usage.output_tokens, float(reported.cost)]))  # noqa: T201
