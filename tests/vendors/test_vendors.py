"""Our spans in the SDKs of vendors: they arrive, as one tree, and each model call counts once."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
OURS = ("invoke_workflow ", "thinktwice.", "chat ")
PARTIES = ("logfire", "langfuse", "ddtrace", "openlit", "traceloop", "braintrust")
DATADOG = {"DD_TRACE_OTEL_ENABLED": "true"}


def settings(party):
    """What is set in the environment for it."""
    return DATADOG if party.startswith("ddtrace") else {}


# ---- with nothing but the vendor's own setting up -----------------------------------------------


@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("request_", ["core", "client", "chain"])
def test_each_request_is_one_tree_of_ours(sent, party, request_):
    """Whatever spans of its own the vendor puts around, between and below."""
    got = sent(party, request_, **settings(party))
    ours = [span for span in got.spans if span.name.startswith(OURS)]
    root = next(span for span in ours if span.name.startswith("invoke_workflow "))
    samples = [span for span in ours if span.name == "thinktwice.sample"]
    verdicts = [span for span in ours if span.name.startswith("thinktwice.verify ")]
    assert len(samples) == 3
    assert len(verdicts) == (0 if request_ == "chain" else 3)
    assert {span.parent for span in (*samples, *verdicts)} == {root.id}
    assert not got.orphans


@pytest.mark.parametrize(
    ("party", "request_"),
    [
        *((party, "client") for party in PARTIES),
        *(
            ("ddtrace_llmobs" if party == "ddtrace" else party, request)
            for party in PARTIES
            for request in ("chain", "chat_model")
        ),
    ],
)
def test_a_model_call_counts_once(sent, party, request_):
    """Whoever writes its span."""
    got = sent(party, request_, **settings(party))
    assert got.tokens() == got.reported[:2] == [30, 9]


@pytest.mark.parametrize("party", ["logfire", "langfuse", "braintrust"])
@pytest.mark.parametrize("request_", ["core", "client", "chain"])
def test_our_leaves_have_our_cost(sent, party, request_):
    """Where the vendor traces no model calls unless told to."""
    got = sent(party, request_)
    leaves = got.named("chat gpt-4o")
    assert {leaf.scope for leaf in leaves} == {"thinktwice"}
    assert got.total("operation.cost") == pytest.approx(got.reported[2], rel=1e-9)
    assert got.total("gen_ai.usage.cost") == pytest.approx(got.reported[2], rel=1e-9)
    samples = {span.id for span in got.named("thinktwice.sample")}
    assert {leaf.parent for leaf in leaves} <= samples


# ---- parties that trace the provider's SDK ------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "request_", "scope"),
    [
        ("logfire_openai", "client", "logfire.openai"),
        ("logfire_openai", "chain", "logfire.openai"),
        ("openlit", "client", "openlit.instrumentation."),
        ("openlit", "chain", "openlit.instrumentation."),
        ("traceloop", "client", "opentelemetry.instrumentation.openai"),
        ("traceloop", "chain", "opentelemetry.instrumentation.langchain"),
        ("ddtrace", "client", "openai.request"),
        ("ddtrace_llmobs", "client", "openai.request"),
        ("ddtrace_llmobs", "chain", "openai.request"),
    ],
)
def test_an_instrumented_client_has_the_leaf(sent, party, request_, scope):
    """And ours stays out: tokens are those of the ledger."""
    got = sent(party, request_, **settings(party))
    assert not [span for span in got.named("chat ") if span.scope in {"thinktwice", "client"}]
    counting = [span for span in got.spans if "gen_ai.usage.input_tokens" in span.attributes]
    assert len(counting) == 3
    assert all(span.scope.startswith(scope) for span in counting)
    assert got.tokens() == got.reported[:2] == [30, 9]


def test_logfire_counts_by_list_prices_where_it_has_the_leaf(sent):
    """By those of genai-prices: 10 tokens in at 2.50, 3 out at 10 USD a million; not by ours."""
    got = sent("logfire_openai", "client")
    assert got.total("operation.cost") == pytest.approx(3 * (10 * 2.5 + 3 * 10) / 1e6)
    assert got.reported[2] == pytest.approx(3 * (10 * 100 + 3 * 1000) / 1e6)


def test_logfire_scrubs_nothing_of_ours(sent):
    """Its patterns look for secrets in names and values."""
    for request in ("core", "chain"):
        got = sent("logfire", request)
        assert got.spans
        assert not [span for span in got.spans if "logfire.scrubbed" in span.attributes]


def test_logfire_gets_metrics_and_events_too(sent):
    """By the same setting up."""
    assert sent("logfire", "core").paths == {"/v1/traces", "/v1/metrics", "/v1/logs"}


# ---- Langfuse's own ways ------------------------------------------------------------------------


def usage_of_langfuse(got):
    """Tokens in and out of its own observations; a cached part is apart from the input."""
    details = [
        json.loads(span.attributes["langfuse.observation.usage_details"])
        for span in got.spans
        if "langfuse.observation.usage_details" in span.attributes
    ]
    inputs = ("input", "prompt_tokens", "input_cache_read")
    outputs = ("output", "completion_tokens")
    return [
        sum(each.get(name, 0) for each in details for name in names) for names in (inputs, outputs)
    ]


@pytest.mark.parametrize("request_", ["client", "chain"])
def test_langfuse_as_a_drop_in_for_openai(sent, request_):
    """Its observations have the tokens, once, below our samples."""
    got = sent("langfuse_openai", request_)
    assert not got.named("chat ")
    assert usage_of_langfuse(got) == got.reported[:2]
    samples = {span.id for span in got.named("thinktwice.sample")}
    assert {span.parent for span in got.spans if span.scope == "langfuse-sdk"} <= samples
    assert not got.orphans


def test_langfuse_handler(sent):
    """Its observations have the tokens, once, in a tree beside ours, in the same trace."""
    got = sent("langfuse", "chain", HANDLER="1")
    assert not got.named("chat ")
    assert usage_of_langfuse(got) == got.reported[:2]
    assert len(got.named("thinktwice.sample")) == 3
    assert len({span.trace for span in got.spans}) == 1
    assert not got.orphans


def test_langfuse_details_are_opt_in(sent):
    """As JSON with the total."""
    assert sent("langfuse", "core").total("langfuse.observation.cost_details") == 0
    got = sent("langfuse", "core", THINKTWICE_COST_DIALECTS="default,langfuse")
    details = [
        json.loads(leaf.attributes["langfuse.observation.cost_details"])
        for leaf in got.named("chat ")
    ]
    assert sum(each["total"] for each in details) == pytest.approx(got.reported[2], rel=1e-9)


# ---- what is not told apart ---------------------------------------------------------------------


@pytest.mark.parametrize("party", ["openlit", "traceloop"])
def test_a_client_that_is_instrumented_hides_other_models(sent, party):
    """A sampler that does not call it has no leaf, unless that is asked for."""
    hidden = sent(party, "core")
    assert hidden.tokens() == [0, 0]
    got = sent(party, "core", THINKTWICE_LLM_SPANS="always")
    assert got.tokens() == got.reported[:2]


def test_datadog_counts_langchain_twice_by_itself(sent):
    """On the span of the chat model and on that of its client, unless LLM Observability is on."""
    for on in ({}, DATADOG):
        got = sent("ddtrace", "chain", **on)
        counting = [span for span in got.spans if "gen_ai.usage.input_tokens" in span.attributes]
        assert {span.scope for span in counting} == {"langchain.request", "openai.request"}
        assert got.tokens() == [2 * count for count in got.reported[:2]]


def test_datadog_without_otel_gets_none_of_ours(sent):
    """What it is switched on by."""
    got = sent("ddtrace", "client")
    assert not [span for span in got.spans if span.name.startswith(OURS)]
    assert got.tokens() == got.reported[:2]


# ---- the examples -------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["logfire", "langfuse", "datadog"])
def test_examples_send_what_they_print(vendor, example):
    """Each request is in it, below what is around it, with its cost."""
    spans, cost = example(vendor)
    roots = [span for span in spans if span.name.startswith("invoke_workflow ")]
    assert len(roots) == 6
    leaves = [span for span in spans if span.name == "chat arithmetic-lm"]
    costs = [span.attributes.get("gen_ai.usage.cost", 0) for span in leaves]
    assert sum(costs) == pytest.approx(cost)
    if vendor == "langfuse":
        [around] = [span for span in spans if span.name == "questions"]
        assert {root.parent for root in roots} == {around.id}
