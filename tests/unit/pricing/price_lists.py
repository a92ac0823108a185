"""Price lists as they are published, of a few models."""

from __future__ import annotations

from genai_prices.data_snapshot import DataSnapshot

from thinktwice.pricing.saved import parsed

OLD, NEW, LATER = "2026-01-01", "2026-02-01", "2999-01-01"


def published(prices, since=OLD):
    """The list that has these prices of a million input tokens, by model.

    Args:
        prices: By model.
        since: From when on the last of them holds.
    """
    models = [
        {"id": name, "match": {"equals": name}, "prices": {"input_mtok": price, "output_mtok": 0}}
        for name, price in prices.items()
    ]
    dated = {"constraint": {"start_date": since}, "prices": models[-1]["prices"]}
    models[-1]["prices"] = [{"prices": {"input_mtok": 99, "output_mtok": 0}}, dated]
    return [{"id": "acme", "name": "Acme", "api_pattern": "acme", "models": models}]


def snapshot(prices, since=OLD):
    """The same, as the package has it."""
    return DataSnapshot(providers=parsed(published(prices, since)), from_auto_update=False)
