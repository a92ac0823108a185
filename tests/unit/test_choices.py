"""Draws that one request makes."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from thinktwice import (
    BestOfN,
    Budget,
    Completion,
    Limiter,
    Price,
    Usage,
    UsageError,
    Vary,
    Vote,
    solve,
    solve_sync,
)
from thinktwice.choices import IGNORED
from thinktwice.scope import current_scope
from thinktwice.stop import AtMost
from thinktwice.testing import captured_spans, run_virtual
from thinktwice.tokens import upper_bound_tokens

pytestmark = pytest.mark.usefixtures("silent_remarks")

PROMPT, CHOICE = 100, 5


class Provider:
    """Makes n choices by one request, and charges the prompt once."""

    model = "m"
    max_tokens = CHOICE

    def __init__(self, values=("a", "b", "a", "a"), most=None, fail=()):
        self.values, self.most, self.fail = values, most, set(fail)
        self.requests: list[int] = []
        self.made = 0

    async def __call__(self, prompt, /, *, options):
        return (await self.many(prompt, 1, options=options))[0]

    async def many(self, prompt, n, /, *, options):
        self.requests.append(n)
        await asyncio.sleep(1)
        if len(self.requests) - 1 in self.fail:
            raise TimeoutError
        n = n if self.most is None else min(n, self.most)
        values = [self.values[(self.made + i) % len(self.values)] for i in range(n)]
        self.made += n
        usage = Usage(input_tokens=PROMPT, output_tokens=CHOICE * n, source="provider")
        first = Completion(value=values[0], usage=usage)
        return [first, *(Completion(value=each) for each in values[1:])]


class Chain(Provider):
    """Books its requests itself, and says nothing of their usage."""

    leaf = False

    async def many(self, prompt, n, /, *, options):
        scope = current_scope()
        booking = await scope.book(model="m")
        with booking:
            made = await super().many(prompt, n, options=options)
        booking.settle(usage=made[0].usage)
        return [Completion(value=each.value) for each in made]


class Silent(Provider):
    """Says nothing of its usage."""

    async def many(self, prompt, n, /, *, options):
        made = await super().many(prompt, n, options=options)
        return [Completion(value=each.value) for each in made]


def full(n, **more):
    """A vote that draws all n at once."""
    return Vote(n, stop=AtMost(n), prefer="latency", **more)


def solved(provider, strategy, **more):
    """A run over a provider."""
    return run_virtual(solve("q", sampler=provider, strategy=strategy, **more))


def test_draws_that_begin_at_once_are_one_request():
    """Each has its own choice; the prompt is paid once, and every choice is a call."""
    provider = Provider()
    result = solved(provider, full(4))
    assert provider.requests == [4]
    assert [sample.value for sample in result.samples] == ["a", "b", "a", "a"]
    total = result.ledger.total
    assert (total.calls, total.usage.input_tokens) == (4, PROMPT)
    assert total.usage.output_tokens == 4 * CHOICE
    assert result.agreement == pytest.approx(0.75)


def test_money_is_counted_once():
    """To the last digit."""
    prices = {"m": Price(input="1", output="10")}
    result = solved(Provider(), full(4), prices=prices)
    assert result.ledger.total.cost == Decimal(PROMPT + 4 * CHOICE * 10) / 1_000_000
    assert result.ledger.total.unpriced == 0


def test_a_vote_asks_for_what_it_may_need():
    """And for more only if that does not settle it."""
    provider = Provider(values=("a",))
    result = solved(provider, Vote(8, prefer="cost"))
    assert sum(provider.requests) == result.launched < 8
    assert len(provider.requests) < result.launched


def test_too_few_choices_are_topped_up():
    """By requests for the rest."""
    provider = Provider(most=3)
    result = solved(provider, full(8))
    assert provider.requests == [8, 5, 2]
    assert len(result.samples) == 8


def test_a_provider_that_ignores_n_is_asked_singly():
    """For good, and it is said."""
    provider = Provider(most=1)
    result = solved(provider, full(4))
    assert IGNORED in result.warnings
    assert provider.requests[0] == 4
    assert len(result.samples) == 4
    provider.requests.clear()
    solved(provider, full(4))
    assert provider.requests == [1, 1, 1, 1]


def test_a_request_that_fails_costs_one_sample():
    """The others ask again."""
    provider = Provider(fail={0})
    result = solved(provider, full(4))
    assert provider.requests == [4, 3]
    failed = [sample for sample in result.samples if sample.error is not None]
    assert len(failed) == 1
    assert len(result.samples) == 4


def test_a_provider_that_is_down_is_not_asked_forever():
    """Once a sample at the most."""
    provider = Provider(fail=range(99))
    with pytest.raises(TimeoutError):
        solved(provider, full(4))
    assert provider.requests == [4, 3, 2, 1]


def test_draws_that_differ_are_requests_of_their_own():
    """By their options, or by their prompts."""
    provider = Provider()
    solved(provider, full(4), options=lambda index: {"seed": index})
    assert provider.requests == [1, 1, 1, 1]
    provider.requests.clear()
    solved(provider, full(4, vary=Vary(prompts=[str, str.upper])))
    assert sorted(provider.requests) == [2, 2]


@pytest.mark.parametrize("calls", [1, 3])
def test_a_budget_of_calls_counts_choices(calls):
    """Whatever one request holds."""
    provider = Provider(values=("a",))
    result = solved(provider, full(8), budget=Budget(calls=calls))
    assert result.ledger.total.calls == calls
    assert sum(provider.requests) == calls


def test_a_budget_of_tokens_is_not_exceeded():
    """What the others hold covers what the request of all takes."""
    budget = Budget(tokens=3 * (PROMPT + CHOICE))
    result = solved(Provider(values=("a",)), full(8), budget=budget)
    assert result.ledger.total.usage.total_tokens <= budget.tokens
    assert len(result.samples) >= 2


def test_recalled_draws_leave_nothing_behind():
    """The request is cancelled once, and every draw is in the books."""
    provider = Provider()
    budget = Budget(seconds=0.5)

    async def run():
        with pytest.raises(Exception, match="seconds"):
            await solve("q", sampler=provider, strategy=full(4), budget=budget)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert run_virtual(run()) == []
    assert provider.requests == [4]


def test_waiting_draws_take_no_place_of_the_sender():
    """A limiter of one lets the request of all pass."""
    provider = Provider()
    limiter = Limiter(4)

    async def run():
        one = solve("q", sampler=provider, strategy=full(4), limiter=limiter)
        two = solve("q", sampler=provider, strategy=full(4), limiter=limiter)
        return await asyncio.gather(one, two)

    results = run_virtual(run())
    assert [len(result.samples) for result in results] == [4, 4]
    assert provider.requests == [4, 4]


def test_verifiers_see_each_choice():
    """As they would without it."""
    provider = Provider()
    result = solved(provider, BestOfN(4, verifier=lambda value: value == "b", prefer="latency"))
    assert provider.requests == [4]
    assert len(result.verdicts) == 4


def test_sync_providers():
    """The request is made on a thread."""
    requests = []

    class Blocking:
        def __call__(self, prompt, /, *, options):
            return "a"

        def many(self, prompt, n, /, *, options):
            requests.append(n)
            return [Completion(value="a") for _ in range(n)]

    result = solve_sync("q", sampler=Blocking(), strategy=full(3))
    assert requests == [3]
    assert len(result.samples) == 3


def test_a_composite_books_its_request_itself():
    """The others are calls that took nothing more."""

    result = solved(Chain(), full(4))
    total = result.ledger.total
    assert (total.calls, total.usage.input_tokens) == (4, PROMPT)
    assert total.usage.output_tokens == 4 * CHOICE


def test_one_request_is_one_leaf_span():
    """Below the sample that sent it."""
    with captured_spans() as spans:
        solved(Provider(), full(4))
    names = [span.name for span in spans]
    assert names.count("chat m") == 1
    assert names.count("thinktwice.sample") == 4


def test_usage_that_nobody_counts_is_unknown_for_all():
    """And no zero."""

    total = solved(Silent(), full(4)).ledger.total
    assert total.calls == 4
    assert total.usage.total_tokens is None


def test_no_choice_is_an_error():
    """Of one sample; the rest ask again."""

    class Empty(Provider):
        async def many(self, prompt, n, /, *, options):
            if len(self.requests) < 1:
                self.requests.append(n)
                return []
            return await super().many(prompt, n, options=options)

    result = solved(Empty(), full(3))
    assert sum(sample.error is not None for sample in result.samples) == 1


def test_many_must_be_a_method():
    """Said before anything is drawn."""
    provider = Provider()
    provider.many = 4  # type: ignore[method-assign, assignment]
    with pytest.raises(UsageError, match="many"):
        solved(provider, full(2))


class Booking(Provider):
    """Books its requests itself, as what has several steps does."""

    leaf = False

    async def many(self, prompt, n, /, *, options):
        scope = current_scope()
        call = await scope.book(model="m", prompt="q", max_tokens=CHOICE * n)
        made = await super().many(prompt, n, options=options)
        call.settle(usage=Usage(input_tokens=1, output_tokens=CHOICE * n, source="provider"))
        return [Completion(value=each.value) for each in made]


@pytest.mark.parametrize(("choices", "requests"), [(4, [4]), (3, [2]), (2, [2]), (1, [1])])
def test_a_request_that_is_too_large_for_the_budget_is_made_smaller(choices, requests):
    """Those that wait for it hold nothing that it would wait for."""
    provider, tokens = Booking(), upper_bound_tokens("q") + CHOICE * choices
    result = solved(provider, full(4), budget=Budget(tokens=tokens))
    assert provider.requests[:1] == requests
    assert result.ledger.total.usage.total_tokens <= tokens
    assert IGNORED not in result.warnings


def test_choices_of_cached_requests_are_different_samples():
    """Nobody says that they are one sample counted many times."""

    class Cached(Provider):
        async def many(self, prompt, n, /, *, options):
            made = await super().many(prompt, n, options=options)
            return [Completion(value=each.value, cached=True) for each in made]

    result = solved(Cached(), full(4))
    assert all(sample.cached for sample in result.samples)
    assert result.warnings == ()


def test_usage_that_nobody_counts_is_charged_to_a_cap():
    """By what each draw holds, and not by the text of one."""

    result = solved(Silent(), full(4), budget=Budget(tokens=1000))
    assert result.ledger.remaining["tokens"] <= 1000 - 3 * CHOICE


@pytest.mark.parametrize("calls", [2, 4, 6])
@pytest.mark.parametrize("prefer", ["cost", "balanced", "latency"])
def test_a_cap_says_what_was_spent_in_the_end(calls, prefer):
    """Choices that came by the request of another draw included."""

    strategy = Vote(8, stop=AtMost(8), prefer=prefer)
    result = solved(Chain(), strategy, budget=Budget(calls=calls))
    assert result.cut.spent == result.ledger.total.calls == calls


def test_choices_without_a_price_do_not_look_free():
    """Neither those of the request, nor the sum."""
    total = solved(Provider(), full(4)).ledger.total
    assert total.cost is None
    assert total.unpriced >= 1
