"""What a wrapper and a chat model that samples another have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.utils import Input, Output

from langchain_thinktwice import config as configs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

MODEL_TYPE = "thinktwice-"
"""Begins `_type` in the parameters of a model run whose calls are booked one by one, below it."""


class Composite(Runnable[Input, Output]):
    """A Runnable that draws several samples of another for one answer.

    A batch goes through `invoke` or `ainvoke`, with one cap on concurrency for all of it.
    """

    @property
    def draws(self) -> int:
        """Samples for one answer at the most; those of strategies further inside multiply."""
        raise NotImplementedError

    def batch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> list[Output]:
        """Run the strategy for each input, on threads."""
        return super().batch(inputs, configs.sharing_a_cap(config, len(inputs)), **kwargs)

    async def abatch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> list[Output]:
        """Run the strategy for each input, at once."""
        return await super().abatch(inputs, configs.sharing_a_cap(config, len(inputs)), **kwargs)

    def batch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Output | Exception]]:
        """Run the strategy for each input; yield results as they come."""
        capped = configs.sharing_a_cap(config, len(inputs))
        yield from super().batch_as_completed(inputs, capped, **kwargs)

    async def abatch_as_completed(  # type: ignore[override]
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, Output | Exception]]:
        """Run the strategy for each input; yield results as they come."""
        capped = configs.sharing_a_cap(config, len(inputs))
        async for each in super().abatch_as_completed(inputs, capped, **kwargs):
            yield each


def is_composite(details: Mapping[str, Any]) -> bool:
    """Whether a model run that starts is that of a chat model that samples another."""
    params: Mapping[str, Any] = details.get("invocation_params") or {}
    return str(params.get("_type", "")).startswith(MODEL_TYPE)
