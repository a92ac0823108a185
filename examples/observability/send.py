"""A few requests whose spans go to an observability backend, over OTLP.

Where they go is said by the standard environment variables. For Phoenix, for instance:

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:6006 python examples/observability/send.py

docs/observability.md has the settings for other backends. The model is small and embedded; no key
is needed. Its price is made up. With a number behind it, as in `send.py 200`, the questions are
asked as many times: a dashboard needs some traffic.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: one thread is fastest

import asyncio
import sys
from decimal import Decimal

try:
    from arithmetic_lm import ArithmeticSampler, final_answer
except ModuleNotFoundError:
    sys.exit("this needs the small model of the examples: pip install -e examples/arithmetic_lm")

from thinktwice import BestOfN, Price, Result, UsageError, Vote, solve, telemetry

PRICES = {"arithmetic-lm": Price("0.10", "0.40")}  # USD per million tokens, in and out
QUESTIONS = ("What is 37*8+56?", "What is 41*7+18?", "What is 29*6+73?")


def answered(text: str) -> bool:
    """Whether it ends with an answer at all."""
    return final_answer(text) is not None


async def ask_all() -> list[Result[str]]:
    """Ask each question in two ways."""
    ask = ArithmeticSampler(temperature=0.8)
    results: list[Result[str]] = []
    for question in QUESTIONS:
        for strategy in (Vote(8, key=final_answer), BestOfN(4, verifier=answered)):
            result = await solve(question, sampler=ask, strategy=strategy, prices=PRICES)
            print(f"{type(strategy).__name__}: {result.answer}; {result.ledger}")
            results.append(result)
    return results


def rounds() -> int:
    """How often to ask."""
    match sys.argv[1:]:
        case []:
            return 1
        case [number] if number.isdecimal() and int(number) > 0:
            return int(number)
        case _:
            sys.exit(f"usage: python {sys.argv[0]} [how often to ask, such as 200]")


def main() -> None:
    """Ask as often as is said; print what the model reported, to compare."""
    results = [result for _ in range(rounds()) for result in asyncio.run(ask_all())]
    reported = [result.ledger.reported for result in results]
    tokens = sum(each.usage.total_tokens or 0 for each in reported)
    cost = sum(each.cost or Decimal(0) for each in reported)
    print(f"reported by the model: {tokens:,} tokens, ${cost:f}")


if __name__ == "__main__":
    # Most backends of traces take nothing else; for a collector, set OTEL_METRICS_EXPORTER=otlp.
    os.environ.setdefault("OTEL_METRICS_EXPORTER", "none")
    os.environ.setdefault("OTEL_LOGS_EXPORTER", "none")
    rounds()  # a mistake is told before anything is set up
    try:
        telemetry.configure(service_name="thinktwice-example")
    except UsageError as error:
        sys.exit(str(error))
    main()
    print("sending what is not sent yet, for 30 s at the most", flush=True)
    if not telemetry.flush(30):  # under load it may take longer than the 5 seconds that exit gives
        sys.exit("the backend has not taken all of it")
    print("all that was to be sent has been taken")
