"""Money: what the tokens of a call cost, in USD as Decimal; where prices come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from thinktwice.pricing.file import PriceFile as PriceFile
    from thinktwice.pricing.listed import GenaiPrices as GenaiPrices
    from thinktwice.pricing.table import Price as Price
    from thinktwice.pricing.table import PriceTable as PriceTable
    from thinktwice.pricing.table import default_prices as default_prices

# A run whose model is free reads neither lists nor files.
__getattr__ = names_of(
    __name__,
    {
        "GenaiPrices": "listed",
        "Price": "table",
        "PriceFile": "file",
        "PriceTable": "table",
        "default_prices": "table",
    },
)

__all__ = ["GenaiPrices", "Price", "PriceFile", "PriceTable", "default_prices"]
