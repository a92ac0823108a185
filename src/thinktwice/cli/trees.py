"""A request as a tree with cost and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from thinktwice.cli.printing import bar, console, show_table
from thinktwice.entry import dollars

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from thinktwice.store.traces import Span, Trace

_TIME: Final = 24
_COST: Final = 10
_DEEP: Final = 6  # levels; the lines of a deeper tree are drawn closer


def show(traces: Sequence[Trace]) -> None:
    """Print them."""
    out = console()
    for at, trace in enumerate(traces):
        if at:
            out.print()
        out.print(Text(_head(trace)))
        _show_spans(out, trace)


def _head(trace: Trace) -> str:
    said = [f"run {trace.run}", f"trace {trace.trace}", f"{trace.started:%Y-%m-%d %H:%M:%S}"]
    if trace.agreement is not None:
        said.append(f"agreement {trace.agreement:.2f}")
    if trace.stopped_by:
        said.append(f"stopped by {trace.stopped_by}")
    if not trace.finished:
        said.append("unfinished: it is under way, or its process was killed")
    return ", ".join(said)


def _show_spans(out: Console, trace: Trace) -> None:
    walked = list(trace.root.walk())
    spans = [span for _, span in walked]
    wide = 4 if max(depth for depth, _ in walked) <= _DEEP else 2
    whole = max((span.started + (span.seconds or 0) for span in spans), default=0) or 1
    dearest = max((span.cost or 0 for span in spans), default=0) or 1
    columns = ["span", "what came of it", "time", "", "seconds", "tokens", "cost"]
    rows = [
        [
            Text(guide + _label(span)),
            _outcome(span),
            Text(_when(span, whole), style="cyan"),
            Text(bar(0, float((span.cost or 0) / dearest), _COST) if span.cost else "", "yellow"),
            "" if span.seconds is None else f"{span.seconds:.3f}",
            _tokens(span),
            "" if span.cost is None else dollars(span.cost),
        ]
        for guide, span in _guided(trace.root, wide=wide)
    ]
    show_table(out, columns, rows, left=4, optional=["tokens", "", "time", "what came of it"])


def _guided(span: Span, own: str = "", below: str = "", *, wide: int) -> Iterator[tuple[str, Span]]:
    """Each span with the lines that lead to it, so many characters wide."""
    yield own, span
    for at, child in enumerate(span.children):
        last = at == len(span.children) - 1
        lead = ("└" if last else "├") + "─" * (wide - 2) + " "
        rest = (" " if last else "│").ljust(wide)
        yield from _guided(child, below + lead, below + rest, wide=wide)


def _label(span: Span) -> str:
    if span.kind == "call":
        return f"call {span.model}" if span.model else "call"
    position = "" if span.position is None else f" {span.position}"
    if span.kind in {"run", "agent"}:
        return span.name or span.kind
    return f"{span.kind}{position}" + (f" {span.name}" if span.name else "")


def _outcome(span: Span) -> str:
    """Letters for answers: the first one is A."""
    said = [] if span.status in (None, "ok") else [span.status]
    if span.kind == "sample" and span.answer is not None:
        said.append(f"answer {_letters(span.answer)}" if span.answer >= 0 else "no answer")
    if span.score is not None:
        said.append(f"{span.score:.2f}")
    return ", ".join(said)


def _letters(ordinal: int) -> str:
    """A to Z, then AA and so on."""
    text = ""
    while True:
        ordinal, digit = divmod(ordinal, 26)
        text = chr(ord("A") + digit) + text
        if not ordinal:
            return text
        ordinal -= 1


def _tokens(span: Span) -> str:
    if span.input is None and span.output is None:
        return ""
    return f"{span.input or 0:,} + {span.output or 0:,}"


def _when(span: Span, whole: float) -> str:
    if span.seconds is None:
        return ""
    return bar(span.started / whole, (span.started + span.seconds) / whole, _TIME)
