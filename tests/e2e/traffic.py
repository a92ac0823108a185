"""A month of traffic, as the store would have it: for pictures, and for tests of these."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.rows import RequestRow, SpanRow, SpendRow
from thinktwice.store.tree import TRILLION, Spend

if TYPE_CHECKING:
    from pathlib import Path

LAST: Final = datetime(2026, 1, 31, 18, tzinfo=UTC)
DAYS: Final = 30


@dataclass(frozen=True)
class App:
    """One part of an application, and how sure its model is of its answers."""

    strategy: str
    model: str
    n: int
    share: float
    price: float | None  # USD a sample
    sure: float  # mean chance of the model's favourite answer
    rule: str
    judge: str | None = None


APPS: Final = (
    App("Vote", "gpt-5-mini", 16, 0.5, 0.0011, 0.75, "Settled(risk=0.05)"),
    App("BestOfN", "claude-sonnet-4-5", 8, 0.2, 0.0054, 0.5, "AtMost(n=8)", "gpt-5-mini"),
    App("CritiqueRepair", "claude-sonnet-4-5", 3, 0.15, 0.0078, 0.9, "passed", "claude-sonnet-4-5"),
    App("Vote", "llama-3.3-70b", 8, 0.15, None, 0.65, "Lead(k=3)"),
)


def month(path: Path, requests: int = 3000, seed: int = 0) -> None:
    """Write it to a file.

    Args:
        path: The store.
        requests: How many; more on weekdays, and more each week.
        seed: Of what is random.
    """
    rng, file = random.Random(seed), StoreFile(path, 2**30)
    batch = Batch([], [], [], [])
    days = [LAST - timedelta(days=DAYS - 1 - at) for at in range(DAYS)]
    busy = [(0.35 if day.weekday() > 4 else 1) * (1 + at / DAYS) for at, day in enumerate(days)]
    for day in sorted(rng.choices(days, busy, k=requests)):
        app = rng.choices(APPS, [each.share for each in APPS])[0]
        _request(rng, batch, app, day - timedelta(hours=rng.triangular(0, 14, 4)))
    file.write(batch)
    file.close()


def _request(rng: random.Random, batch: Batch, app: App, began: datetime) -> None:
    number, microseconds = rng.getrandbits(62), int(began.timestamp() * 1e6)
    sure = rng.betavariate(4 * app.sure, 4 * (1 - app.sure))
    answers = _answers(rng, app, sure)
    costs = [_cost(rng, app) for _ in answers]
    used = len(answers) - (len(answers) < app.n and rng.random() < 0.3)
    total, calls = sum(costs), len(costs)
    tokens = Spend(calls, 900 * calls, 350 * calls, total, 0 if app.price else calls)
    batch.spend.append(SpendRow(number, app.model, "sample", tokens, 0))
    if app.judge is not None:
        judged = Spend(calls, 1300 * calls, 60 * calls, total // 4, 0)
        batch.spend.append(SpendRow(number, app.judge, "verify", judged, 0))
    for at, (answer, cost) in enumerate(zip(answers, costs, strict=True)):
        batch.spans.append(_sample(rng, number, microseconds, app, (at, answer, cost)))
    batch.ended.append(
        RequestRow(
            id=number,
            run=f"{number:016x}",
            trace=f"{rng.getrandbits(128):032x}",
            strategy=app.strategy,
            started=microseconds,
            took=int(rng.lognormvariate(1, 0.5) * 1e6),
            requested=app.n,
            launched=calls,
            used=used,
            failed=0,
            stopped_by=app.rule if calls < app.n else "Certain()",
            cut=0,
            exhaustive=0,
            agreement=max(Counter(answers[:used]).values()) / used,
            calls=calls,
            input=tokens.input,
            output=tokens.output,
            cost=total + (total // 4 if app.judge else 0),
            unpriced=tokens.unpriced,
            sampled=total,
            wasted=sum(costs[used:]),
        )
    )


def _answers(rng: random.Random, app: App, sure: float) -> list[int]:
    """Drawn until one leads by three, or all are."""
    drawn: list[int] = []
    votes: Counter[int] = Counter()
    while len(drawn) < app.n:
        drawn.append(0 if rng.random() < sure else rng.randint(1, 3))
        votes[drawn[-1]] += 1
        ranked = sorted([*votes.values(), 0], reverse=True)
        if ranked[0] - ranked[1] >= 3 and app.strategy != "BestOfN":
            break
    return drawn


def _cost(rng: random.Random, app: App) -> int:
    return 0 if app.price is None else int(app.price * TRILLION * rng.lognormvariate(0, 0.35))


def _sample(
    rng: random.Random, number: int, began: int, app: App, drawn: tuple[int, int, int]
) -> SpanRow:
    at, answer, cost = drawn
    return SpanRow(
        id=rng.getrandbits(62),
        parent=number,
        request=number,
        kind="sample",
        name=None,
        model=app.model,
        status="ok",
        started=began + at * 1000,
        took=int(rng.lognormvariate(0, 0.4) * 1e6),
        position=at,
        arrival=at,
        answer=answer,
        score=None,
        calls=1,
        input=900,
        output=350,
        cost=cost,
    )
