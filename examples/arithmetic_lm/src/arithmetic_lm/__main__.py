"""The command line: ``python -m arithmetic_lm ask|bench|serve``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = _parser().parse_args(arguments)
    commands = {"ask": _ask, "bench": _bench, "serve": _serve}
    return commands[given.command](given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="arithmetic_lm", description="A small arithmetic model.")
    commands = parser.add_subparsers(dest="command", required=True)

    ask = commands.add_parser("ask", help="answer a question")
    ask.add_argument("question")
    ask.add_argument("--model", default="small", help="small, skilled or tiny")
    ask.add_argument("--effort", choices=("low", "medium", "high"), default="medium")
    ask.add_argument("--temperature", type=float, default=0.8)
    ask.add_argument("--seed", type=int)
    ask.add_argument("-n", type=int, default=1, help="number of samples")

    bench = commands.add_parser("bench", help="print accuracy per class, and speed")
    bench.add_argument("--model", default="small", help="small, skilled or tiny")
    bench.add_argument("--skills", action="store_true", help="check, revise, effort, value head")
    bench.add_argument("--questions", type=int, default=400)
    bench.add_argument("--samples", type=int, help="per question; 16, or 8 for --skills")
    bench.add_argument("--temperature", type=float, default=0.8)
    bench.add_argument("--seed", type=int, default=0)

    serve = commands.add_parser("serve", help="serve chat completions on 127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--latency", type=float, default=0.0, help="seconds before every reply")
    serve.add_argument("--jitter", type=float, default=0.0, help="largest extra delay, seconds")
    serve.add_argument("--stragglers", type=float, default=0.0, help="share of slow requests")
    serve.add_argument("--straggler-seconds", type=float, default=0.0)
    serve.add_argument("--echo", action="store_true", help="repeat the prompt, without the model")
    return parser


def _ask(given: argparse.Namespace) -> int:
    from .assistant import Assistant
    from .options import Options

    options = Options(temperature=given.temperature, seed=given.seed, effort=given.effort)
    replies = Assistant(model=given.model).replies_sync(given.question, options, given.n)
    print("\n\n".join(reply.text for reply in replies))
    return 0


def _bench(given: argparse.Namespace) -> int:
    from .bench import families_of, measure, rows, table, tokens_per_second
    from .engine import shared_engine, size_of

    if given.skills:
        return _bench_skills(given)
    engine, samples = shared_engine(size_of(given.model)), given.samples or 16
    measured = measure(
        engine,
        given.questions,
        samples,
        temperature=given.temperature,
        seed=given.seed,
        families=families_of(engine.model),
    )
    print(f"{given.questions} test questions, the classes in equal numbers; {samples} samples")
    print(f"each at temperature {given.temperature}, seed {given.seed}. In band: single-sample")
    print("accuracy of 20 to 80 %. Wrong mode: the most frequent answer is wrong.\n")
    print(table(rows(measured)))
    print(f"\n{tokens_per_second(engine):,.0f} tokens/s at 16 streams")
    return 0


def _bench_skills(given: argparse.Namespace) -> int:
    from .engine import shared_engine, size_of
    from .skill_bench import measure_skills

    size = "skilled" if given.model == "small" else size_of(given.model)
    samples = given.samples or 8
    report = measure_skills(shared_engine(size), given.questions, samples, seed=given.seed)
    print(f"{given.questions} test questions, the classes in equal numbers; {samples} drafts each")
    print(f"at temperature 0.8, seed {given.seed}. In brackets: 95 % interval, bootstrap over")
    print("questions.\n")
    print("\n".join(report.lines()))
    return 0


def _serve(given: argparse.Namespace) -> int:
    from .faults import Faults
    from .server import ArithmeticServer, echo

    faults = Faults(
        latency=given.latency,
        jitter=given.jitter,
        straggler_share=given.stragglers,
        straggler_seconds=given.straggler_seconds,
    )

    async def run() -> None:
        reply = echo if given.echo else None
        async with ArithmeticServer(faults=faults, port=given.port, reply=reply) as server:
            print(server.url, flush=True)
            await asyncio.Event().wait()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
