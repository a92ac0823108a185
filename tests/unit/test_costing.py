"""What a call costs, and the most that it can take."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest

from thinktwice import Budget, Ledger, Price, Usage, UsageError
from thinktwice.budget import Need
from thinktwice.costing import cost_of, worst_case
from thinktwice.pricing import default_prices
from thinktwice.sample import NO_USAGE
from thinktwice.tokens import upper_bound_tokens

PRICES = default_prices({"m": Price(1, 2)})
USAGE = Usage(input_tokens=1_000_000, output_tokens=500_000, source="provider")
CAPPED = Budget(tokens=10_000)


def most(prompt="q", max_tokens=7, *, budget=CAPPED, model="m", **more):
    scope = SimpleNamespace(ledger=Ledger(budget), prices=PRICES)
    return worst_case(scope, prompt, max_tokens, model=model, provider=None, role="sample", **more)


class TestCost:
    """Of a call that was made."""

    def test_it_is_that_of_its_tokens(self):
        """In USD."""
        assert cost_of(USAGE, "m", None, prices=PRICES) == 2

    @pytest.mark.parametrize(
        ("usage", "cached"), [(USAGE, True), (NO_USAGE, False), (Usage(), True)]
    )
    def test_what_took_nothing_is_free(self, usage, cached):
        """Whatever the model, and though nobody counted."""
        assert cost_of(usage, "unheard of", None, prices=PRICES, cached=cached) == 0

    @pytest.mark.parametrize(("usage", "model"), [(Usage(), "m"), (USAGE, "unheard of")])
    def test_what_nobody_knows_is_unpriced(self, usage, model):
        """Unknown is not zero."""
        assert cost_of(usage, model, None, prices=PRICES) is None

    def test_a_model_that_is_free_is_so_though_nobody_counted(self):
        """As local servers often do not."""
        free = default_prices({"local/*": Price.free()})
        assert cost_of(Usage(), "llama", "local", prices=free) == 0

    def test_a_source_that_cannot_do_without_counts_leaves_it_unpriced(self):
        """It is no mistake of the caller's."""
        source = SimpleNamespace(price=lambda usage, **more: usage.input_tokens + 1)
        assert cost_of(Usage(), "m", None, prices=source) is None

    def test_prices_that_raise_are_the_callers_mistake(self):
        """Named, without what they said."""

        def price(usage, **more):
            raise KeyError("sk-secret")

        with pytest.raises(UsageError, match=r"^prices=.*KeyError for model 'm'") as caught:
            cost_of(USAGE, "m", None, prices=SimpleNamespace(price=price))
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "given", [1.5, "1", Decimal("NaN"), Decimal("Infinity"), Decimal(-1), -1]
    )
    def test_prices_that_are_no_money_are_the_callers_mistake(self, given):
        """A sum with them would be none either."""
        source = SimpleNamespace(price=lambda usage, **more: given)
        with pytest.raises(UsageError, match=r"^prices=.*gave .* for model 'm': give a Decimal"):
            cost_of(USAGE, "m", None, prices=source)

    def test_a_whole_number_is_money(self):
        """As 0 is, for a model that is free."""
        source = SimpleNamespace(price=lambda usage, **more: 0)
        assert cost_of(USAGE, "m", None, prices=source) == 0

    def test_a_warning_of_ours_that_was_made_an_error_is_passed_on(self):
        """The filters of the caller are no mistake."""

        def price(usage, **more):
            raise RuntimeWarning("old prices")

        with pytest.raises(RuntimeWarning, match="old prices"):
            cost_of(USAGE, "m", None, prices=SimpleNamespace(price=price))


class TestWorstCase:
    """Of a call that is yet to be made."""

    def test_it_bounds_tokens_and_money(self):
        """By the bytes of the prompt, what is still to come into it, and the cap on the output."""
        inputs = upper_bound_tokens("q") + 30
        cost = (Decimal(inputs) + 2 * 7) / 1_000_000
        assert most(further=30) == Need(tokens=inputs + 7, cost=cost, kind="sample:m")

    @pytest.mark.parametrize(
        "unknown",
        [
            {"budget": Budget(calls=3)},
            {"max_tokens": None},
            {"prompt": [{"content": [{"type": "image_url"}]}]},
        ],
    )
    def test_it_is_not_known(self, unknown):
        """Where no cap asks for it, where the output has no end, or for what is no text."""
        assert most(**unknown) == Need(kind="sample:m")

    def test_without_a_price_the_tokens_are_known(self):
        """The money is not."""
        assert most(model="unheard of").cost is None
        assert most(model="unheard of").tokens == most().tokens
