"""The training script; skipped without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import phases
from arithmetic_lm.bench import Row
from arithmetic_lm.engine import Engine, Request
from arithmetic_lm.model import Shape, log_softmax, read_model
from arithmetic_lm.problems import FAMILIES, split_of
from arithmetic_lm.skill_bench import CheckReport, ReviseReport, Share, SkillReport
from arithmetic_lm.vocabulary import SKILLED_TOKENS, Vocabulary
from network import Transformer, export
from phases import PLANS, FamilyAcceptance, Plan, SkillAcceptance, train_in_phases
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


def test_exported_rotary_weights_give_the_same_distribution(tmp_path):
    torch.manual_seed(0)
    vocabulary = Vocabulary(SKILLED_TOKENS)
    shape = Shape(width=32, layers=2, heads=2, context=20, rotary=True)
    network = Transformer(len(vocabulary), shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(torch.rand_like(parameter) * 4)
    export(network, shape, vocabulary, tmp_path / "tiny.npz")
    model = read_model(tmp_path / "tiny.npz")
    tokens = np.random.default_rng(0).integers(7, len(vocabulary), (2, 20))
    expected = log_softmax(network(torch.tensor(tokens)).detach().numpy()[..., 7:])
    logits, _, _ = model.forward(tokens)
    np.testing.assert_allclose(log_softmax(logits[..., 7:]), expected, atol=0.02)
    written = Engine(model).submit(Request(tuple(tokens[0, :8]), seed=1)).result()
    whole = np.array([[*tokens[0, :8], *written.tokens]])
    table = log_softmax(model.forward(whole)[0][0, 7:-1])
    stepped = table[np.arange(len(written.tokens)), list(written.tokens)]
    np.testing.assert_allclose(stepped, written.logprobs, atol=1e-4)


RIGHT = "37*8+56", "37*8=296\n296+56=352\nA:352"
WRONG = "37*8+56", "37*8=297\n297+56=353\nA:353"


def test_phases_are_resumed_from_their_checkpoints(tmp_path, capsys, monkeypatch):
    """A run in miniature: every phase, measured and refused; then again from the checkpoints."""
    shape = Shape(width=16, layers=2, heads=2, context=224, rotary=True)
    plan = Plan(
        shape,
        clean=2,
        sloppy=2,
        skills=2,
        rework=2,
        tokens=400,
        questions=7,
        samples=1,
        rollouts=7,
    )
    monkeypatch.setitem(PLANS, "skilled", plan)
    monkeypatch.setattr("phases.measured_misses", lambda engine, plan: ["too small"])
    monkeypatch.setattr("phases.own_drafts", lambda *_: {"all": [RIGHT, WRONG]})
    monkeypatch.setattr("phases.rollouts", lambda run, model: (torch.rand(64, 32), torch.rand(64)))
    taught = []
    learn = phases.learn
    monkeypatch.setattr("phases.learn", lambda *given: taught.append(learn(*given)))
    out = tmp_path / "out.npz"
    assert train_in_phases("skilled", out, tmp_path / "work", 0) == 1
    assert not out.exists()
    assert "too small" in capsys.readouterr().out
    monkeypatch.setattr("phases.measured_misses", lambda engine, plan: [])
    assert train_in_phases("skilled", out, tmp_path / "work", 0) == 0
    assert len(taught) == 3
    assert len(read_model(out).value) == 6


def _share(mean):
    return Share(mean, mean, mean, 10)


def _skill_report(auc=0.8, passed=0.2, mended=0.6, broken=0.05, steps=0.8):
    return SkillReport(
        CheckReport(_share(auc), _share(passed), _share(0.1)),
        ReviseReport(_share(mended), _share(broken)),
        {},
        _share(steps),
    )


def test_acceptance_of_skills():
    assert SkillAcceptance().misses(_skill_report()) == []
    bad = _skill_report(auc=0.99, passed=0.01, mended=0.1, broken=0.5, steps=0.4)
    assert len(SkillAcceptance().misses(bad)) == 5


def test_acceptance_of_families():
    kinds = [_row("countdown", 0.3), _row("all", 0.6)]
    assert FamilyAcceptance().misses(kinds) == []
    assert len(FamilyAcceptance().misses([_row("countdown", 0.9), _row("all", 0.95)])) == 3
