"""A few requests whose spans go to an observability backend, over OTLP.

Where they go is said by the standard environment variables. For Phoenix, for instance:

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:6006 python examples/observability/send.py

docs/observability.md has the settings for other backends. The model is small and embedded; no key
is needed. Its price is made up.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import asyncio
from decimal import Decimal

from arithmetic_lm import ArithmeticSampler, final_answer

from thinktwice import BestOfN, Price, Vote, solve, telemetry

PRICES = {"arithmetic-lm": Price("0.10", "0.40")}  # USD per million tokens, in and out
QUESTIONS = ("What is 37*8+56?", "What is 41*7+18?", "What is 29*6+73?")


def answered(text: str) -> bool:
    """Whether it ends with an answer at all."""
    return final_answer(text) is not None


async def main() -> Decimal:
    """Ask each question in two ways; gives what it cost, to compare with what the backend says."""
    telemetry.configure(service_name="thinktwice-example", signals=["traces"])
    ask = ArithmeticSampler(temperature=0.8)
    cost = Decimal(0)
    for question in QUESTIONS:
        for strategy in (Vote(8, key=final_answer), BestOfN(4, verifier=answered)):
            result = await solve(question, sampler=ask, strategy=strategy, prices=PRICES)
            print(f"{type(strategy).__name__}: {result.answer}; {result.ledger}")
            cost += result.ledger.reported.cost or 0
    print(f"reported by the model, and so by the backend: ${cost:f}")
    return cost


if __name__ == "__main__":
    asyncio.run(main())
