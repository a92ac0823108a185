"""The training script; skipped without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from arithmetic_lm.bench import Row
from arithmetic_lm.model import Shape, log_softmax, read_model
from arithmetic_lm.problems import FAMILIES, split_of
from arithmetic_lm.vocabulary import Vocabulary
from network import Transformer, export
from train import IGNORED, Acceptance, Recipe, batches


def test_exported_weights_give_the_same_distribution(tmp_path):
    torch.manual_seed(0)
    vocabulary, shape = Vocabulary(), Shape(width=32, layers=2, heads=2, context=20)
    network = Transformer(len(vocabulary), shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(torch.rand_like(parameter) * 2)
    export(network, shape, vocabulary, tmp_path / "tiny.npz")
    tokens = np.random.default_rng(0).integers(3, len(vocabulary), (2, 20))
    expected = log_softmax(network(torch.tensor(tokens)).detach().numpy()[..., 3:])
    logits, _, _ = read_model(tmp_path / "tiny.npz").forward(tokens)
    np.testing.assert_allclose(log_softmax(logits[..., 3:]), expected, atol=0.02)


def test_batches_hold_training_questions_and_hide_the_prompt():
    vocabulary = Vocabulary()
    data = batches(vocabulary, 8, seed=0)
    for _ in range(6):
        inputs, targets = next(data)
        assert inputs.shape == targets.shape
        for row, wanted in zip(inputs.tolist(), targets.tolist(), strict=True):
            question = vocabulary.decode(row).partition("=")[0]
            assert split_of(question) == "train"
            start = row.index(vocabulary.encode("\n")[0])
            assert set(wanted[:start]) == {IGNORED}
            solution = [token for token in wanted if token != IGNORED]
            assert solution[-1] == vocabulary.end
            assert row[start + 1 : start + len(solution)] == solution[:-1]


def _row(name, pass_1=0.6, majority=0.7, in_band=0.5, wrong=0.1):
    return Row(name, 10, pass_1, majority, 1.0, in_band, wrong, 30.0)


def _rows(everything, plain, **odd):
    kinds = {name: family.is_misconception for name, family in FAMILIES.items()}
    return [*(_row(n, **odd) if kinds[n] else _row(n) for n in kinds), everything, plain]


def test_acceptance():
    good = _rows(_row("all"), _row("plain"), pass_1=0.3, majority=0.2, wrong=0.8)
    assert Acceptance().misses(good) == []
    bad = _rows(_row("all", in_band=0.3), _row("plain", 0.9), pass_1=0.3, majority=0.4, wrong=0.2)
    assert len(Acceptance().misses(bad)) == 5


def test_the_learning_rate_rises_and_falls():
    recipe = Recipe(steps=1000, warm_up=50)
    rates = [recipe.rate(step) for step in (1, 50, 500, 1000)]
    assert rates[0] < rates[2] < rates[1]
    assert rates[3] == pytest.approx(recipe.floor)
