"""Wall time of a vote over real sockets, against a bare gather of the same requests.

    make bench-loopback

A server on loopback answers after 50 ms. All n requests start at once; thinktwice and a bare
`asyncio.gather` take turns for 20 rounds, and the median of the ratios round by round is printed.
its-hub 1.2.0 (SelfConsistency, unlimited concurrency) runs beside them, in an environment of its
own that this script makes (`.venv-its-hub`), in rounds with its own bare gather.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SIZES = (8, 32, 128)
LIMITS = {8: 1.10, 32: 1.10, 128: 1.15}
ROUNDS = 20
PEER = "its-hub[lm]==1.2.0"
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "fake",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "391"},
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
}
BODY = {"model": "fake", "messages": [{"role": "user", "content": "What is 17*23?"}]}


async def serve(port: int) -> None:
    """Answer every request after 50 ms, until the process is ended."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(0.05)
        return web.json_response(REPLY)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    await site.start()
    server = site._server
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def rounds(
    mine: Callable[[], Awaitable[object]], bare: Callable[[], Awaitable[object]]
) -> tuple[float, float, float]:
    """Median ratio, and the medians of both in ms, taking turns."""
    await mine()
    await bare()
    pairs = [(await timed(mine), await timed(bare)) for _ in range(ROUNDS)]
    return (
        median(a / b for a, b in pairs),
        1000 * median(a for a, _ in pairs),
        1000 * median(b for _, b in pairs),
    )


def session() -> aiohttp.ClientSession:
    """A client without a cap on connections."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def ours(url: str) -> list[tuple[int, float, float, float]]:
    """One row for each n."""
    from thinktwice import AtMost, Completion, Price, Usage, Vote, solve

    async with session() as client:

        async def post() -> dict[str, object]:
            async with client.post(f"{url}/chat/completions", json=BODY) as response:
                return await response.json()

        async def ask(prompt: str) -> Completion[str]:
            reply = await post()
            used = reply["usage"]
            usage = Usage(
                input_tokens=used["prompt_tokens"],
                output_tokens=used["completion_tokens"],
                source="provider",
            )
            text = reply["choices"][0]["message"]["content"]
            return Completion(value=text, usage=usage, model="fake")

        async def vote(n: int) -> None:
            result = await solve(
                "q",
                sampler=ask,
                strategy=Vote(n, stop=AtMost(n), prefer="latency"),
                max_concurrency=n,
                prices={"fake": Price("1", "2")},
            )
            assert len(result.samples) == n

        async def gather(n: int) -> None:
            await asyncio.gather(*(post() for _ in range(n)))

        return [(n, *await rounds(lambda n=n: vote(n), lambda n=n: gather(n))) for n in SIZES]


async def peer(url: str) -> list[tuple[int, float, float, float]]:
    """The same for its-hub; runs in its environment."""
    from its_hub import LMOrchestrator, OpenAICompatibleLanguageModel, SelfConsistency

    model = OpenAICompatibleLanguageModel(endpoint=url, api_key="none", model_name="fake")
    algorithm = SelfConsistency(orchestrator=LMOrchestrator(max_concurrency=-1))
    async with session() as client:

        async def post() -> None:
            async with client.post(f"{url}/chat/completions", json=BODY) as response:
                await response.json()

        async def gather(n: int) -> None:
            await asyncio.gather(*(post() for _ in range(n)))

        async def vote(n: int) -> None:
            await algorithm.ainfer(model, "What is 17*23?", budget=n)

        table = [(n, *await rounds(lambda n=n: vote(n), lambda n=n: gather(n))) for n in SIZES]
    await model.close()
    return table


def peer_python() -> str:
    """The interpreter of the peer's environment, which is made at the first time."""
    root = Path(__file__).parents[2]
    folder = root / ".venv-its-hub"
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), PEER], check=True)
        (folder / ".installed").touch()
    return str(python)


def show(name: str, table: list[tuple[int, float, float, float]]) -> None:
    """Print rows."""
    for n, ratio, mine, bare in table:
        target = f"  (target {LIMITS[n]:.2f})" if name == "thinktwice" else ""
        print(f"{name:12} n={n:<4} {ratio:5.2f}x  {mine:6.1f} ms, bare {bare:6.1f} ms{target}")


def main() -> None:
    """Start a server, measure both, print."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
            show("thinktwice", asyncio.run(ours(url)))
            done = subprocess.run(
                [peer_python(), __file__, "--peer", url], check=True, capture_output=True, text=True
            )
            show("its-hub", json.loads(done.stdout.splitlines()[-1]))
        finally:
            server.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--peer", metavar="URL", help="measure its-hub in this interpreter")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(0))
    elif arguments.peer:
        print(json.dumps(asyncio.run(peer(arguments.peer))))
    else:
        main()
