from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from arithmetic_lm.engine import Engine, Request, sample
from arithmetic_lm.model import log_softmax
from arithmetic_lm.problems import problems

pytestmark = pytest.mark.anyio


def _request(engine, question="37*8+56", **kwargs) -> Request:
    return Request(tuple(engine.model.vocabulary.prompt(question)), **kwargs)


def _text(engine, generated) -> str:
    return engine.model.vocabulary.decode(generated.tokens)


def test_same_seed_same_text(engine):
    one, two = (engine.submit(_request(engine, seed=7)).result() for _ in range(2))
    assert one == two


def test_seeds_differ(engine):
    futures = [engine.submit(_request(engine, seed=i, temperature=2.0)) for i in range(20)]
    assert len({_text(engine, future.result()) for future in futures}) > 5


def test_no_seed_is_fresh_entropy(engine):
    futures = [engine.submit(_request(engine, temperature=2.0)) for _ in range(20)]
    assert len({_text(engine, future.result()) for future in futures}) > 5


def test_one_seed_draws_differently_for_different_questions(engine):
    from arithmetic_lm.engine import _noise

    asked = [_request(engine, question, seed=1) for question in ("12+13", "12+14")]
    assert not np.allclose(_noise(asked[0], 5), _noise(asked[1], 5))


def test_a_text_does_not_depend_on_its_batch(engine):
    asked = [_request(engine, p.question, seed=i) for i, p in enumerate(problems(40))]
    together = [future.result() for future in [engine.submit(r) for r in asked]]
    for request, batched in zip(asked, together, strict=True):
        alone = engine.submit(request).result()
        assert alone.tokens == batched.tokens
        np.testing.assert_allclose(alone.logprobs, batched.logprobs, atol=1e-3)


def test_logprobs_are_those_of_the_full_forward(engine):
    for temperature in (0.0, 0.8, 1.5):
        request = _request(engine, seed=3, temperature=temperature)
        written = engine.submit(request).result()
        tokens = np.array([*request.prompt, *written.tokens])
        logits, _, _ = engine.model.forward(tokens[None])
        table = log_softmax(logits[0, len(request.prompt) - 1 : -1])
        expected = table[np.arange(len(written.tokens)), written.tokens]
        np.testing.assert_allclose(written.logprobs, expected, atol=1e-3)


def test_the_most_probable_tokens_are_those_of_the_full_forward(engine):
    request = _request(engine, seed=3, temperature=1.5, top_logprobs=4)
    written = engine.submit(request).result()
    tokens = np.array([*request.prompt, *written.tokens])
    logits, _, _ = engine.model.forward(tokens[None])
    table = log_softmax(logits[0, len(request.prompt) - 1 : -1])
    assert len(written.top_logprobs) == len(written.tokens)
    for row, top in zip(table, written.top_logprobs, strict=True):
        np.testing.assert_allclose([p for _, p in top], np.sort(row)[::-1][:4], atol=1e-3)
        np.testing.assert_allclose(row[[n for n, _ in top]], [p for _, p in top], atol=1e-3)


def test_all_that_the_model_can_write_adds_up_to_one(engine):
    written = engine.submit(_request(engine, seed=3, top_logprobs=99)).result()
    vocabulary = engine.model.vocabulary
    writable = len(vocabulary) - len(vocabulary.silent)
    for top in written.top_logprobs:
        assert len({number for number, _ in top}) == writable
        assert not {number for number, _ in top} & set(vocabulary.silent)
        assert sum(np.exp([p for _, p in top])) == pytest.approx(1, abs=1e-4)


def test_each_request_gets_as_many_as_it_asked_for(engine):
    asked = [_request(engine, seed=i, top_logprobs=k) for i, k in enumerate((0, 2, 5))]
    written = [future.result() for future in [engine.submit(r) for r in asked]]
    assert written[0].top_logprobs == ()
    assert [{len(top) for top in each.top_logprobs} for each in written] == [set(), {2}, {5}]
    alone = engine.submit(_request(engine, seed=0)).result()
    assert alone.tokens == written[0].tokens


def test_temperature_zero_is_greedy(engine):
    request = _request(engine, temperature=0)
    first = engine.submit(request).result()
    assert first == engine.submit(request).result()
    tokens = np.array([*request.prompt, *first.tokens])
    logits, _, _ = engine.model.forward(tokens[None])
    best = logits[0, len(request.prompt) - 1 : -1].argmax(-1)
    assert tuple(best) == first.tokens


def test_sample_follows_the_distribution():
    logits = np.log(np.tile(np.array([0.1, 0.2, 0.7], np.float32), (30_000, 1)))
    uniforms = np.random.default_rng(0).random(30_000)
    drawn = sample(logits, np.ones(30_000), uniforms)
    np.testing.assert_allclose(np.bincount(drawn) / 30_000, [0.1, 0.2, 0.7], atol=0.01)
    cold = sample(logits, np.full(30_000, 0.5), uniforms)
    squares = np.array([0.01, 0.04, 0.49])
    np.testing.assert_allclose(np.bincount(cold) / 30_000, squares / squares.sum(), atol=0.01)


def test_max_tokens_ends_with_length(engine):
    written = engine.submit(_request(engine, seed=1, max_tokens=3)).result()
    assert len(written.tokens) == len(written.logprobs) == 3
    assert written.finish_reason == "length"
    assert engine.submit(_request(engine, seed=1)).result().finish_reason == "stop"


def test_the_context_bounds_the_text(engine):
    hot = [engine.submit(_request(engine, temperature=50.0, seed=i)) for i in range(30)]
    for future in hot:
        assert len(future.result().tokens) <= engine.model.shape.context


@pytest.mark.parametrize("stop", ["\n", "=2", "\nA:"])
def test_stop_texts_are_cut_off(engine, stop):
    whole = _text(engine, engine.submit(_request(engine, temperature=0)).result())
    told: list[tuple[object, ...]] = []
    request = _request(engine, temperature=0, stop=(stop,), top_logprobs=2)
    written = engine.submit(request, lambda *token: told.append(token)).result()
    assert _text(engine, written) == whole.partition(stop)[0]
    columns = (written.tokens, written.logprobs, written.top_logprobs)
    assert told == list(zip(*columns, strict=True))


@pytest.mark.parametrize(
    "options", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_logprobs": -1}]
)
def test_bad_requests(engine, options):
    with pytest.raises(ValueError):
        engine.submit(_request(engine, **options))
    with pytest.raises(ValueError):
        engine.submit(Request(tuple([5] * 100)))


async def test_cancelled_tasks_leave_the_batch(engine, monkeypatch):
    slow, step = threading.Event(), engine.model.step

    def slowly(self, *arguments):
        slow.wait(0.05)
        return step(*arguments)

    monkeypatch.setattr(type(engine.model), "step", slowly)
    tasks = [asyncio.create_task(engine.generate(_request(engine, seed=i))) for i in range(5)]
    while engine.running < 5:
        await asyncio.sleep(0.01)
    for task in tasks[:4]:
        task.cancel()
    start = time.monotonic()
    while engine.running > 1:
        await asyncio.sleep(0.005)
    assert time.monotonic() - start < 0.5
    slow.set()
    assert (await tasks[4]).finish_reason == "stop"
    assert engine.running == 0


async def test_many_tasks_share_a_batch(engine):
    seen = 0

    async def watch() -> None:
        nonlocal seen
        while True:
            seen = max(seen, engine.running)
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(engine.generate(_request(engine, seed=i)) for i in range(50)))
    watcher.cancel()
    assert 8 <= seen <= engine.slots


def test_threads_and_loops_at_once(engine):
    asked = [_request(engine, p.question, seed=i) for i, p in enumerate(problems(24))]
    expected = [engine.submit(request).result().tokens for request in asked]
    found: dict[int, tuple[int, ...]] = {}

    async def some(numbers) -> None:
        written = await asyncio.gather(*(engine.generate(asked[i]) for i in numbers))
        found.update({i: g.tokens for i, g in zip(numbers, written, strict=True)})

    def by_loop(k: int) -> None:
        asyncio.run(some(range(k, 24, 4)))

    def by_thread(k: int) -> None:
        found.update({i: engine.submit(asked[i]).result().tokens for i in range(k, 24, 4)})

    threads = [
        threading.Thread(target=by_loop if k % 2 else by_thread, args=(k,)) for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(24)] == expected


def test_an_error_reaches_every_caller_and_the_engine_goes_on(model, monkeypatch):
    engine = Engine(model, slots=4)

    def broken(self, *_):
        raise FloatingPointError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "step", broken)
        futures = [engine.submit(_request(engine, seed=i)) for i in range(6)]
        for future in futures:
            with pytest.raises(FloatingPointError):
                future.result(timeout=5)
    assert engine.submit(_request(engine, seed=1)).result(timeout=5).tokens


def test_a_bad_prompt_fails_alone(model):
    engine = Engine(model, slots=4)
    good = engine.submit(_request(engine, seed=1))
    bad = engine.submit(Request((255,)))
    with pytest.raises(IndexError):
        bad.result(timeout=5)
    assert good.result(timeout=5).tokens
    assert engine.submit(_request(engine, seed=1)).result(timeout=5).tokens


def test_the_thread_ends_when_idle_and_starts_again(model, monkeypatch):
    monkeypatch.setattr("arithmetic_lm.engine._IDLE_SECONDS", 0.05)
    engine = Engine(model, slots=4)
    first = engine.submit(_request(engine, seed=1)).result()
    for _ in range(100):
        if engine._thread is None:
            break
        time.sleep(0.02)
    assert engine._thread is None
    assert engine.submit(_request(engine, seed=1)).result() == first
