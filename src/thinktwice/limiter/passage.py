"""One call on its way through the rates of limiters, which hear how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thinktwice.account import now
from thinktwice.limiter.failures import is_unbilled, is_unsent
from thinktwice.limiter.pacing import next_ticket
from thinktwice.texts import text_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from thinktwice.entry import Status
    from thinktwice.limiter import Limiter

_CHARACTERS_PER_TOKEN: Final = 4
_REPLY_TOKENS: Final = 500


class Passage:
    """What one call was charged by each limiter, and when it left."""

    __slots__ = ("_charged", "_limiters", "_model", "_ticket")

    def __init__(self, limiters: Sequence[Limiter], model: str | None) -> None:
        """Charge nothing yet.

        Args:
            limiters: Those that it passes.
            model: The model that is called.
        """
        self._limiters = limiters
        self._model = model
        self._charged: tuple[tuple[Limiter, float], ...] = ()
        self._ticket = 0

    def leave_at_once(self) -> bool:
        """Leave, if none of the limiters has rates: the path of most calls."""
        for limiter in self._limiters:
            if not limiter.open:
                return False
        self._ticket = next_ticket()
        return True

    async def leave(self, request: Hashable, size: int) -> float:
        """Wait until the rates let the call go.

        Args:
            request: On whose behalf; requests take turns.
            size: Tokens to charge where no call of the model has been seen; see `first_size`.

        Returns:
            The seconds that it took.
        """
        waited = 0.0
        for limiter in self._limiters:
            if not limiter.open:
                since = now()
                tokens = await limiter.leave(self._model, size, request)
                self._charged += ((limiter, tokens),)
                waited += max(0.0, now() - since)
        self._ticket = next_ticket()
        return waited

    def withdraw(self) -> None:
        """The call was not sent."""
        self._refund(1)
        self._charged = ()

    def mute(self) -> None:
        """Somebody else deals with how it ended: the limiters hear nothing of that."""
        self._limiters = ()

    def ended(
        self,
        status: Status,
        used: int | None,
        error: BaseException | None = None,
        *,
        cached: bool = False,
    ) -> None:
        """Tell how the call ended, and correct what it was charged.

        Args:
            status: How it ended.
            used: Its tokens, if anybody counted them.
            error: What it raised.
            cached: A cache of the caller's answered: it took nothing, and says nothing.
        """
        for limiter in self._limiters:
            if status == "ok" and not cached:
                limiter.succeeded(self._ticket)
            elif status == "error" and error is not None:
                limiter.failed(self._ticket, error)
        if self._charged:
            self._correct(used if status == "ok" else None, error, cached=cached)
            self._charged = ()

    def _correct(self, used: int | None, error: BaseException | None, *, cached: bool) -> None:
        if cached or (error is not None and is_unsent(error)):
            self._refund(1)
        elif error is not None and is_unbilled(error):
            self._refund(0)
        elif used is not None:
            for limiter, tokens in self._charged:
                limiter.settle(self._model, tokens, used)

    def _refund(self, requests: int) -> None:
        for limiter, tokens in self._charged:
            limiter.refund(requests, tokens)


def first_size(limiters: Sequence[Limiter], prompt: object, max_tokens: int | None) -> int:
    """Tokens to take a call for whose model a limiter has not seen: its text, and a short reply.

    Args:
        limiters: Those that it passes; 0 if none of them counts tokens.
        prompt: Its input.
        max_tokens: Output tokens at most; None if nobody says.
    """
    for limiter in limiters:
        if limiter.tokens_per_minute is not None:
            reply = _REPLY_TOKENS if max_tokens is None else min(max_tokens, _REPLY_TOKENS)
            return len(text_of(prompt)) // _CHARACTERS_PER_TOKEN + reply
    return 0
