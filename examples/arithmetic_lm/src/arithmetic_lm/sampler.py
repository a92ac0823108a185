"""The plain door: an async callable for `thinktwice`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .assistant import Assistant, Reply
from .engine import Engine
from .options import DEFAULT_TEMPERATURE, Options, options_from

if TYPE_CHECKING:
    from thinktwice import Completion


class ArithmeticSampler:
    """Samples completions of the shared model.

    Args:
        temperature: Used when a call's options name none.
        max_tokens: Most tokens of a completion when a call's options name none.
        top_logprobs: As in `Options`, when a call's options name none.
        engine: Writes the texts; None takes the one this process shares.
    """

    model = "arithmetic-lm"
    provider = "local"

    def __init__(
        self,
        *,
        temperature: float = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        top_logprobs: int = 0,
        engine: Engine | None = None,
    ) -> None:
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.top_logprobs = top_logprobs
        self._assistant = Assistant(engine)

    async def __call__(
        self, prompt: str, /, *, options: Mapping[str, object] | None = None
    ) -> Completion[str]:
        """Sample one completion.

        Args:
            prompt: A question such as ``"37*8+56"``.
            options: May hold ``temperature``, ``seed``, ``max_tokens``, ``stop`` and
                ``top_logprobs``.

        Raises:
            ValueError: An option is unknown or out of range.
        """
        return _completion(await self._assistant.reply(prompt, self._options(options)))

    def sample(
        self, prompt: str, /, *, options: Mapping[str, object] | None = None
    ) -> Completion[str]:
        """Like calling it, without an event loop."""
        return _completion(self._assistant.reply_sync(prompt, self._options(options)))

    def _options(self, given: Mapping[str, object] | None) -> Options:
        chosen: dict[str, object] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_logprobs": self.top_logprobs,
        }
        chosen.update({k: v for k, v in (given or {}).items() if v is not None})
        return options_from(chosen)


def _completion(reply: Reply) -> Completion[str]:
    # Imported here, so that the other doors work without thinktwice.
    from thinktwice import Completion, Usage

    return Completion(
        value=reply.text,
        text=reply.text,
        usage=Usage(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cache_read_tokens=0,
            cache_write_tokens=0,
            reasoning_tokens=0,
            source="provider",
        ),
        model=ArithmeticSampler.model,
        provider=ArithmeticSampler.provider,
        finish_reason=reply.finish_reason,
        logprobs=reply.logprobs,
        top_logprobs=reply.top_logprobs,
        cached=False,
        raw=reply,
    )
