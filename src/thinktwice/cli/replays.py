"""What other rules would have done, in words."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from rich.text import Text

from thinktwice.cli.printing import console, show_table
from thinktwice.diversity import FEWEST
from thinktwice.entry import dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thinktwice.diversity import Estimate
    from thinktwice.launch import Preference
    from thinktwice.policy.whatif import WhatIf

_COLUMNS: Final = ("rule", "requests", "samples", "cost", "saved", "seconds", "another answer")
_OPTIONAL: Final = ("seconds", "requests", "cost", "samples")
_REASONS: Final = {
    "censored": "whose own rule could stop them early, and that were not chosen to explore: what "
    "these would have gone on to say is not known",
    "never_explore": "whose own rule could stop them early, and that had no chance to explore, so "
    "that nothing stands for them: observed without explore=, best-of-N, a shadow, in a "
    'budget_scope or a quota, with a cap on calls below n, or with prefer="shortest"',
    "cut": "that a budget or an error cut short",
    "too_short": "with fewer samples than that",
    "unscored": "without scores, which the rule needs",
}
_UNPRICED: Final = "unpriced"
_UNFIT: Final = "nothing to replay: no request that was drawn in full has enough samples, or scores"
_EXPLAINED: Final = (
    "in brackets 95 % intervals; another answer: than that of all recorded samples of the request"
)
_FEW: Final = (
    f"no intervals of means: they take {FEWEST} requests that explored, and as many of those that "
    "are always drawn in full, if there are any"
)
_NOTHING: Final = (
    "nothing to replay: call observe(explore=0.02) in the application, which draws 2 % of the "
    "votes in full, or give a vote stop=AtMost(n)"
)
_NOTHING_YET: Final = (
    "nothing to replay yet: no vote was chosen to explore so far; wait for more of them, or have a "
    "larger share explore"
)


def preference(text: str) -> Preference | float:
    """How to launch, as typed: a name, or a number."""
    try:
        return float(text)
    except ValueError:
        return cast("Preference", text)  # what is none is refused where it is used


def show(found: Sequence[WhatIf]) -> None:
    """Print what the rules would have done, side by side."""
    out = console()
    shown = [each for each in found if each.replayed]
    if shown:
        out.print(Text(_recorded(max(shown, key=lambda each: each.replayed))), soft_wrap=True)
        out.print()
        rows = [_cells(each) for each in shown]
        show_table(out, _COLUMNS, rows, optional=_OPTIONAL)
        out.print()
        out.print(Text(_EXPLAINED), soft_wrap=True)
    else:
        out.print(Text(_nothing(found)), soft_wrap=True)
    for line in dict.fromkeys(line for each in found for line in _notes(each)):
        out.print(Text(line), soft_wrap=True)


def _nothing(found: Sequence[WhatIf]) -> str:
    """Why there is nothing to replay."""
    reasons = {reason for each in found for reason in each.left_out}
    if not reasons:
        return "no requests"
    if reasons & {"too_short", "unscored"}:
        return _UNFIT
    return _NOTHING_YET if "censored" in reasons else _NOTHING


def _recorded(found: WhatIf) -> str:
    samples, seconds = (
        "" if each is None else f"{each.value:.2f}"
        for each in (found.recorded_samples, found.recorded_seconds)
    )
    usd = found.recorded_cost
    cost = _UNPRICED if usd is None else dollars(Decimal(usd.value))
    explored = f", {found.explored:,} of them explored" if found.explored else ""
    return (
        f"{_requests(found.replayed)} drawn in full{explored}: "
        f"{samples} samples, {cost} and {seconds} s each"
    )


def _cells(found: WhatIf) -> list[str]:
    return [
        found.stop,
        f"{found.replayed:,}",
        _estimate(found.launched, "{:.2f}".format),
        _estimate(found.cost, lambda usd: dollars(Decimal(usd))) or _UNPRICED,
        _percent(found.saved, 0),
        _estimate(found.seconds, "{:.2f}".format),
        _percent(found.changed, 1),
    ]


def _estimate(of: Estimate | None, words: Callable[[float], str], unit: str = "") -> str:
    if of is None:
        return ""
    value = f"{words(of.value)}{unit}"
    if of.low is None or of.high is None:
        return value
    return f"{value} ({words(of.low)} to {words(of.high)})"


def _percent(of: Estimate | None, digits: int) -> str:
    return _estimate(of, lambda share: f"{100 * share:.{digits}f}", " %")


def _notes(found: WhatIf) -> list[str]:
    few = [_FEW] if found.launched is not None and found.launched.low is None else []
    return few + _without_cost(found) + _left_out(found)


def _without_cost(found: WhatIf) -> list[str]:
    if not found.unpriced:
        return []
    if found.unpriced == found.replayed:
        return ["no request has a known cost: what is saved is of the samples"]
    kept = _requests(found.unpriced)
    return [f"left out of the costs alone: {kept} with a call without a known cost"]


def _left_out(found: WhatIf) -> list[str]:
    lines = [
        f"left out: {_requests(count)} {_REASONS[reason]}"
        for reason, count in found.left_out.items()
        if reason in _REASONS
    ]
    if other := found.left_out.get("other"):
        kinds = ", ".join(found.others)
        lines.append(f"left out: {_requests(other)} of what is not replayed: {kinds}")
    return lines


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"
