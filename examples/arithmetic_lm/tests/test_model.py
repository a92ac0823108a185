from __future__ import annotations

import numpy as np

from arithmetic_lm.model import WEIGHTS, load_model, log_softmax
from arithmetic_lm.problems import problems, work


def _texts(model):
    asked = problems(5, seed=3)
    heads = [model.vocabulary.prompt(p.question) for p in asked]
    tails = [model.vocabulary.encode("\n".join(work(p.question))) for p in asked]
    return [np.array(a + b) for a, b in zip(heads, tails, strict=True)]


def test_weights_are_small():
    assert all(path.stat().st_size <= 3_000_000 for path in WEIGHTS.iterdir())


def test_steps_with_the_cache_equal_the_full_forward(model):
    for tokens in _texts(model):
        whole, _, _ = model.forward(tokens[None])
        cache = model.cache(1)
        for at, token in enumerate(tokens):
            logits = model.step(cache, np.array([token]), np.array([at]))
            np.testing.assert_allclose(logits[0], whole[0, at], atol=1e-3)


def test_sequences_at_different_positions_step_together(model):
    texts = _texts(model)
    cache = model.cache(len(texts))
    for slot, tokens in enumerate(texts):
        _, keys, values = model.forward(tokens[None, :-1])
        cache.keys[:, slot, ..., : len(tokens) - 1] = keys[:, 0]
        cache.values[:, slot, :, : len(tokens) - 1] = values[:, 0]
    last = np.array([tokens[-1] for tokens in texts])
    logits = model.step(cache, last, np.array([len(tokens) - 1 for tokens in texts]))
    for slot, tokens in enumerate(texts):
        whole, _, _ = model.forward(tokens[None])
        np.testing.assert_allclose(logits[slot], whole[0, -1], atol=1e-3)


def test_a_moved_slot_goes_on_as_before(model):
    tokens = _texts(model)[0]
    cache = model.cache(3)
    _, keys, values = model.forward(tokens[None, :-1])
    cache.keys[:, 2, ..., : len(tokens) - 1] = keys[:, 0]
    cache.values[:, 2, :, : len(tokens) - 1] = values[:, 0]
    cache.move(2, 0)
    logits = model.step(cache, tokens[-1:], np.array([len(tokens) - 1]))
    whole, _, _ = model.forward(tokens[None])
    np.testing.assert_allclose(logits[0], whole[0, -1], atol=1e-3)


def test_control_tokens_are_never_likely(model):
    whole, _, _ = model.forward(_texts(model)[0][None])
    assert np.exp(log_softmax(whole))[..., model.vocabulary.silent].max() == 0


def test_log_softmax_sums_to_one():
    rows = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    np.testing.assert_allclose(np.exp(log_softmax(rows)).sum(-1), 1, rtol=1e-5)


def test_models_are_loaded_once():
    assert load_model() is load_model()
