"""From spans to rows, without a file."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider

from thinktwice import telemetry
from thinktwice.store.rows import begun, ended, note, span_row, spend_on, spend_row
from thinktwice.store.seen import Seen
from thinktwice.store.tree import TRILLION, Node, Spend

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("thinktwice")
CALL = {"openinference.span.kind": "LLM"}
RUN = {"gen_ai.operation.name": "invoke_workflow", telemetry.STRATEGY: "Vote"}


def node(name, around=None, *, seconds=1.0, **attributes):
    """Of a span that began two seconds after 1970, and has ended."""
    span = TRACER.start_span(name, attributes=attributes, start_time=2 * 10**9)
    span.end(int((2 + seconds) * 10**9))
    return Node(span, around)


def finished(of):
    """What an ended span spent itself; it also tells the one around it."""
    seen = Seen(of.span)
    note(seen, of)
    return spend_row(seen, of)


@pytest.fixture
def request_node():
    return node("run", **RUN, **{telemetry.LAUNCHED: 3, telemetry.USED: 2, telemetry.COST: 0.75})


class TestSpans:
    def test_a_sample(self, request_node):
        """Its place, what came of it, and what it took, in whole numbers."""
        sample = node(
            "thinktwice.sample",
            request_node,
            **{telemetry.INDEX: 3, telemetry.ARRIVAL: 1, telemetry.GROUP: -1},
            **{telemetry.QUEUED: 0.25, telemetry.WEIGHT: 0.5, telemetry.LENGTH: 40},
            **{telemetry.COST: 0.25, "thinktwice.usage.input_tokens": 7},
            **{"error.type": "KeyError"},
        )
        row = span_row(Seen(sample.span), sample)
        assert (row.parent, row.request, row.kind) == (request_node.id, request_node.id, "sample")
        assert (row.position, row.arrival, row.answer) == (3, 1, -1)
        assert (row.started, row.took, row.queued) == (2_000_000, 1_000_000, 250_000)
        assert (row.cost, row.input, row.output) == (TRILLION // 4, 7, None)
        assert (row.weight, row.length, row.status) == (0.5, 40, "KeyError")

    def test_somebody_elses_call(self, request_node):
        """It hangs below the span of ours around it, and its cost is not ours to count."""
        foreign = TracerProvider(shutdown_on_exit=False).get_tracer("openinference.x")
        span = foreign.start_span("chat", attributes={**CALL, telemetry.COST: 9.0})
        span.end()
        row = span_row(Seen(span), request_node)
        assert (row.parent, row.kind, row.cost) == (request_node.id, "call", None)


class TestSpend:
    def test_a_span_counts_for_what_is_not_below_it(self, request_node):
        """So that all rows of a request add up to what stands on it."""
        sample = node("thinktwice.sample", request_node, **{telemetry.COST: 0.5})
        call = node("call", sample, **CALL, **{telemetry.COST: 0.5, telemetry.MODEL: "m"})
        rows = [finished(each) for each in (call, sample, request_node)]
        assert [row.spend.cost for row in rows] == [TRILLION // 2, 0, TRILLION // 4]
        assert [row.role for row in rows] == ["sample", "sample", "other"]
        assert [row.model for row in rows] == ["m", None, None]
        assert request_node.total.cost == 3 * TRILLION // 4

    @pytest.mark.parametrize(
        ("attributes", "unpriced"),
        [({}, 1), ({telemetry.COST: 0.0}, 0), ({telemetry.CACHED: True}, 0)],
    )
    def test_what_is_not_known_is_not_free(self, attributes, unpriced):
        """A call without a cost is unpriced, unless it was answered from a cache."""
        assert spend_on(Seen(node("call", **CALL, **attributes).span)) == Spend(
            1, 0, 0, 0, unpriced
        )

    def test_an_estimate(self, request_node):
        """Is told from what a provider reported."""
        guess = {telemetry.COST: 0.5, telemetry.USAGE_SOURCE: "estimated"}
        assert finished(node("call", request_node, **CALL, **guess)).estimated == TRILLION // 2


class TestRequests:
    def test_before_its_end(self, request_node):
        """What is not known yet is not made up."""
        row = begun(request_node)
        assert (row.strategy, row.started, row.took, row.cost) == ("Vote", 2_000_000, None, None)

    def test_what_was_wasted(self, request_node):
        """Samples that came after the last one that was used, or never."""
        for arrival, cost in ((0, 0.125), (1, 0.25), (2, 0.0625), (None, 0.03125)):
            place = {} if arrival is None else {telemetry.ARRIVAL: arrival}
            finished(node("thinktwice.sample", request_node, **{telemetry.COST: cost}, **place))
        row = ended(Seen(request_node.span), request_node)
        assert row.sampled == 0.46875 * TRILLION
        assert row.wasted == 0.09375 * TRILLION
        assert (row.launched, row.used, row.took) == (3, 2, 1_000_000)

    @pytest.mark.parametrize(
        ("said", "stopped_by", "cut"),
        [
            ("Lead(k=2)", "Lead(k=2)", 0),
            ("Limit(kind='cost', allowed=Decimal('0.01'))", "budget of cost", 1),
            ("Limit()", "budget", 1),
        ],
    )
    def test_what_ended_it(self, said, stopped_by, cut):
        """A budget without its amounts, which are as many as there are requests."""
        run = node("run", **RUN, **{telemetry.STOPPED_BY: said})
        row = ended(Seen(run.span), run)
        assert (row.stopped_by, row.cut) == (stopped_by, cut)

    def test_a_nested_strategy(self, request_node):
        """Asks for a product of samples, of which the outer one draws a part: that is not said."""
        asked = node("run", **RUN, **{telemetry.REQUESTED: 12})
        assert ended(Seen(asked.span), asked).requested == 12
        finished(node("inner", asked, **RUN))
        assert ended(Seen(asked.span), asked).requested is None

    def test_a_shadow(self):
        """Is told apart by name."""
        shadow = node("run", **RUN, **{telemetry.SHADOW: True})
        assert begun(shadow).strategy == "Vote (shadow)"
