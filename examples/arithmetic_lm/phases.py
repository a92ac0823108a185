"""The phases in which a model with skills is trained; each can be resumed from the last.

1. Families: exact texts, then sloppy ones, with made-up drafts to check and revise.
2. Skills: checking, revising and re-checking of drafts that the model itself has written, while
   the texts of the first phase go on.
3. Rework: checks that work the lines of a draft again before the verdict, on new drafts.
4. Value: a head on hidden states of the frozen model, taught by rollouts from its own drafts.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arithmetic_lm.bench import Row, measure, rows, table
from arithmetic_lm.engine import Engine, Request
from arithmetic_lm.model import Shape, read_model
from arithmetic_lm.problems import ALL_FAMILIES, first_fault, problems
from arithmetic_lm.skill_bench import Draft as Written
from arithmetic_lm.skill_bench import SkillReport, measure_skills, write_drafts
from arithmetic_lm.value import line_states
from arithmetic_lm.vocabulary import SKILLED_TOKENS, SOLVING_TOKENS, Vocabulary
from lessons import (
    CLEAN,
    DRILLED,
    REWORKED,
    SKILLED,
    SLOPPY,
    SOLVE_ONLY,
    Batch,
    Draft,
    Shares,
    lesson_batches,
    lessons,
)
from network import Transformer, export
from recipe import Recipe, descend, optimizers_of


@dataclass(frozen=True)
class Plan:
    """How long the phases are.

    Args:
        shape: Sizes of the model.
        clean: Updates on exact texts.
        sloppy: Updates on sloppy texts.
        skills: Updates on its own drafts; 0 for a model that only solves.
        rework: Updates on its own drafts, most of them checks that work the lines again.
        tokens: Tokens of an update, padding included.
        questions: Training questions of which drafts are written.
        samples: Drafts of each.
        rollouts: Questions of which the value head sees rollouts; 0 for no head.
    """

    shape: Shape
    clean: int
    sloppy: int
    skills: int = 0
    rework: int = 0
    tokens: int = 1500
    questions: int = 2800
    samples: int = 4
    rollouts: int = 0

    @property
    def solves_only(self) -> bool:
        """Whether it has no skills."""
        return not self.skills


PLANS = {
    "skilled": Plan(
        Shape(width=96, layers=5, heads=4, context=224, rotary=True),
        clean=3200,
        sloppy=1300,
        skills=1000,
        rework=1200,
        rollouts=1000,
    ),
    "tiny": Plan(
        Shape(width=56, layers=3, heads=4, context=136, rotary=True), clean=1800, sloppy=800
    ),
}


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        plan: Its phases.
        vocabulary: Of the model.
        seed: Of everything drawn.
        work: Folder of the checkpoints.
    """

    plan: Plan
    vocabulary: Vocabulary
    seed: int
    work: Path

    def phase(
        self, name: str, model: Transformer, train: Callable[[Run, Transformer], list[Tensor]]
    ) -> list[Tensor]:
        """Run a phase, or take its checkpoint if there is one; returns what it has made."""
        path = self.work / f"{name}.pt"
        if not path.exists():
            start = time.process_time()
            made = train(self, model)
            seconds = time.process_time() - start
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"model": model.state_dict(), "made": made, "seconds": seconds}, path)
        saved = torch.load(path)
        print(f"{name}: {saved['seconds']:.0f} s of CPU", flush=True)
        model.load_state_dict(saved["model"])
        return saved.get("made") or []

    def keep(self, model: Transformer) -> Path:
        """Write the weights of this moment, to be looked at; returns where."""
        path = self.work / "now.npz"
        export(model, self.plan.shape, self.vocabulary, path)
        return path

    def engine(self, model: Transformer) -> Engine:
        """Return the inference that is shipped, with the weights of this moment."""
        return Engine(read_model(self.keep(model)))


def learn(run: Run, model: Transformer, batches: Iterator[Batch], recipe: Recipe) -> None:
    """Update the model with as many batches as the recipe has steps."""
    optimizers = optimizers_of(model, recipe)
    total, start = 0.0, time.process_time()
    for step, batch in enumerate(islice(batches, recipe.steps), 1):
        inputs, targets, weights = batch
        losses = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="none")
        loss = (losses * weights.flatten()).sum() / weights.sum()
        total += descend(model, optimizers, loss, recipe, step)
        if step % 50 == 0:
            seconds = time.process_time() - start
            print(f"step {step}  loss {total / 50:.4f}  {seconds:.0f} s of CPU", flush=True)
            total = 0.0
        if step % 500 == 0:
            run.keep(model)


def families(run: Run, model: Transformer) -> list[Tensor]:
    """Teach the families: first to calculate, then to be unsure."""
    plan, recipe = run.plan, Recipe(steps=run.plan.clean + run.plan.sloppy)
    shares = (DRILLED, SOLVE_ONLY) if plan.solves_only else (CLEAN, SLOPPY)
    exact, sloppy = (
        lesson_batches(
            lessons(run.seed, share, sloppy=is_sloppy), run.vocabulary, plan.tokens, run.seed
        )
        for share, is_sloppy in zip(shares, (False, True), strict=True)
    )
    learn(run, model, chain(islice(exact, plan.clean), sloppy), recipe)
    return []


# ---- skills -------------------------------------------------------------------------------------

_LATE = 0.4
"""Learning rates of the second phase as a share of the first's."""


def skills(run: Run, model: Transformer) -> list[Tensor]:
    """Teach checking and revising on drafts of the model's own."""
    return _on_drafts(run, model, SKILLED, run.plan.skills, 1)


def rework(run: Run, model: Transformer) -> list[Tensor]:
    """Teach to work a draft again before the verdict, on drafts sampled anew."""
    return _on_drafts(run, model, REWORKED, run.plan.rework, 3)


def _on_drafts(
    run: Run, model: Transformer, shares: Shares, steps: int, number: int
) -> list[Tensor]:
    rate = Recipe()
    recipe = Recipe(
        steps=steps,
        warm_up=20,
        matrix_rate=_LATE * rate.matrix_rate,
        other_rate=_LATE * rate.other_rate,
    )
    drafts = own_drafts(run, model, run.seed + number - 1)
    print("drafts:", {name: len(group) for name, group in drafts.items()}, flush=True)
    stream = lessons(run.seed + number, shares, sloppy=True, drafts=list(drafts.values()))
    batches = lesson_batches(stream, run.vocabulary, run.plan.tokens, run.seed + number)
    learn(run, model, batches, recipe)
    return []


def own_drafts(run: Run, model: Transformer, seed: int) -> dict[str, list[Draft]]:
    """Return drafts of training questions in groups: by family, and by right or wrong.

    A draft whose lines and answer disagree about whether it is right is left out: it is no clear
    case of either.
    """
    engine, plan = run.engine(model), run.plan
    asked = problems(plan.questions, split="train", seed=seed, families=tuple(ALL_FAMILIES))
    groups: defaultdict[str, set[Draft]] = defaultdict(set)
    for draft in write_drafts(engine, asked, plan.samples, seed=seed):
        kind = _kind(draft)
        if kind is not None:
            groups[kind].add((draft.problem.question, draft.text))
    rng = random.Random(seed)
    return {name: rng.sample(sorted(groups[name]), len(groups[name])) for name in sorted(groups)}


def _kind(draft: Written) -> str | None:
    count = draft.text.count("\n") + 1
    fault = first_fault(draft.problem.question, draft.text)
    if not 1 < count < 10 or (fault is None) != draft.is_right:
        return None
    return f"{draft.problem.family}, {'right' if draft.is_right else 'wrong'}"


# ---- value --------------------------------------------------------------------------------------

_ROLLOUTS = 8


def value_head(run: Run, model: Transformer) -> list[Tensor]:
    """Train the head on rollouts: of each prefix of a draft, how often it comes out right."""
    states, chances = rollouts(run, model)
    head = nn.Sequential(
        nn.Linear(states.shape[1], 384),
        nn.ReLU(),
        nn.Linear(384, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
    )
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.05)
    order = torch.Generator().manual_seed(run.seed)
    for epoch in range(20):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - epoch / 20)
        for chosen in torch.randperm(len(states), generator=order).split(256):
            noisy = F.dropout(states[chosen], 0.1)
            loss = F.binary_cross_entropy_with_logits(head(noisy)[:, 0], chances[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"value head: {sum(p.numel() for p in head.parameters()):,} parameters", flush=True)
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    arrays = (array.detach() for layer in linear for array in (layer.weight, layer.bias))
    return [array.T.contiguous() if array.dim() == 2 else array for array in arrays]


def rollouts(run: Run, model: Transformer) -> tuple[Tensor, Tensor]:
    """Return hidden states at the ends of lines of drafts, and how often each comes out right."""
    engine, vocabulary = run.engine(model), run.vocabulary
    asked = problems(
        run.plan.rollouts, split="train", seed=run.seed + 2, families=tuple(ALL_FAMILIES)
    )
    drafts = [d for d in write_drafts(engine, asked, 2, seed=run.seed + 2) if "\n" in d.text]
    pending = []
    for draft in drafts:
        lines = draft.text.splitlines()
        prefixes = ["".join(f"{line}\n" for line in lines[:k]) for k in range(1, len(lines))]
        head = vocabulary.prompt(draft.problem.question)
        prompts = [tuple(head + vocabulary.encode(prefix)) for prefix in prefixes]
        pending.append(
            [
                (prefix, [engine.submit(Request(p, seed=i)) for i in range(_ROLLOUTS)])
                for prefix, p in zip(prefixes, prompts, strict=True)
            ]
        )
    states: list[np.ndarray] = []
    chances: list[float] = []
    for draft, futures in zip(drafts, pending, strict=True):
        problem, lines = draft.problem, draft.text.splitlines()
        states.append(line_states(engine.model, problem.question, lines))
        for prefix, written in futures:
            texts = [prefix + vocabulary.decode(each.result().tokens) for each in written]
            right = [problem.is_right(problem.answer_in(text)) for text in texts]
            chances.append(sum(right) / len(right))
        chances.append(float(draft.is_right))
    return torch.tensor(np.concatenate(states)), torch.tensor(chances)


# ---- all of it ----------------------------------------------------------------------------------


def train_in_phases(size: str, out: Path, work: Path | None, seed: int) -> int:
    """Train a model of `PLANS`, measure it and write it if it is accepted; the exit status.

    Args:
        size: Name of the plan.
        out: Where the weights go.
        work: Where the checkpoints go; None takes a folder beside this file.
        seed: Of everything drawn.
    """
    torch.manual_seed(seed)
    plan = PLANS[size]
    tokens = SOLVING_TOKENS if plan.solves_only else SKILLED_TOKENS
    run = Run(plan, Vocabulary(tokens), seed, work or Path(__file__).parent / ".cache" / size)
    model = Transformer(len(run.vocabulary), plan.shape)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    run.phase("families", model, families)
    value: list[Tensor] = []
    if not plan.solves_only:
        run.phase("skills", model, skills)
        run.phase("rework", model, rework)
        value = run.phase("value", model, value_head)
    draft = run.work / f"{size}.npz"
    export(model, plan.shape, run.vocabulary, draft, value)
    misses = measured_misses(Engine(read_model(draft)), plan)
    print("; ".join(misses) or "accepted", f"{time.process_time():.0f} s of CPU in this process")
    if misses:
        return 1
    draft.replace(out)
    print(f"wrote {out}")
    return 0


def measured_misses(engine: Engine, plan: Plan) -> list[str]:
    """Print what the model can do on validation questions; return what is not met, in words."""
    measured = rows(measure(engine, 210, 16, split="validation", families=tuple(ALL_FAMILIES)))
    print(table(measured), flush=True)
    if plan.solves_only:
        return FamilyAcceptance(accuracy=(0.05, 0.50), found=0.10).misses(measured)
    report = measure_skills(engine, 210, 8, split="validation")
    print("\n".join(report.lines()), flush=True)
    return FamilyAcceptance().misses(measured) + SkillAcceptance().misses(report)


@dataclass(frozen=True)
class FamilyAcceptance:
    """What a model must show on validation questions at temperature 0.8.

    Args:
        accuracy: Single-sample accuracy over all families.
        countdown: Highest single-sample accuracy of countdown.
        found: Least gain of 16 samples on one in countdown: finding is hard, checking is not.
    """

    accuracy: tuple[float, float] = (0.40, 0.80)
    countdown: float = 0.60
    found: float = 0.25

    def misses(self, measured: Sequence[Row]) -> list[str]:
        """Return what is not met, in words."""
        by_name = {row.name: row for row in measured}
        everything, countdown = by_name["all"], by_name["countdown"]
        found: list[str] = []
        if not self.accuracy[0] <= everything.pass_1 <= self.accuracy[1]:
            found.append(f"accuracy: {everything.pass_1:.3f}")
        if countdown.pass_1 > self.countdown:
            found.append(f"accuracy of countdown: {countdown.pass_1:.3f}")
        if countdown.pass_16 - countdown.pass_1 < self.found:
            found.append(f"gain of 16 samples: {countdown.pass_16 - countdown.pass_1:.3f}")
        return found


@dataclass(frozen=True)
class SkillAcceptance:
    """What the skills must show on drafts of validation questions.

    Args:
        auc: Within-question AUC of the check.
        false_pass: Share of wrong drafts that the check passes.
        mended: Least share of wrong drafts mended after true feedback.
        broken: Share of right drafts broken after false feedback.
        steps: Least step AUC of the value head. It was 0.60 before the check worked lines again:
            the states at the ends of lines tell less since.
    """

    auc: tuple[float, float] = (0.70, 0.85)
    false_pass: tuple[float, float] = (0.10, 0.40)
    mended: float = 0.40
    broken: tuple[float, float] = (0.02, 0.15)
    steps: float = 0.55

    def misses(self, report: SkillReport) -> list[str]:
        """Return what is not met, in words."""
        found: list[str] = []
        for name, share, (low, high) in (
            ("AUC of check", report.check.auc, self.auc),
            ("wrong drafts passed", report.check.false_pass, self.false_pass),
            ("mended", report.revise.mended, (self.mended, 1.0)),
            ("broken", report.revise.broken, self.broken),
        ):
            if not low <= share.mean <= high:
                found.append(f"{name}: {share.mean:.3f}")
        if report.steps is None or report.steps.mean < self.steps:
            found.append(f"step AUC: {report.steps}")
        return found
