"""How the draws of one run differ."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import BestOfN, UsageError, Vote, solve
from thinktwice.sampling import as_sources
from thinktwice.stop import AtMost
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.vary import Variant, Vary

pytestmark = pytest.mark.usefixtures("silent_remarks")

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "17 * 23?", "name": "ann"},
    {"role": "assistant", "content": "Let me see:"},
]


def edited(prompt: object, by: object) -> object:
    """An input as the only prompt of a Vary makes it."""
    return Vary(prompts=[by]).variants(1)[0].edited(prompt)


class Echo:
    """Returns what reaches it."""

    async def __call__(self, prompt, /, *, options):
        return prompt, options.get("temperature"), options.get("seed")


def drawn(n, vary, sampler=None, **more):
    """The samples of a full vote."""
    vote = Vote(n, vary=vary, stop=AtMost(n))
    return run_virtual(solve("q", sampler=sampler or Echo(), strategy=vote, **more)).samples


class TestParameters:
    """What is refused when it is made."""

    @pytest.mark.parametrize(
        ("parameter", "given"),
        [
            ("vary", {}),
            ("vary", {"prompts": {}, "temperatures": [], "samplers": ()}),
            ("prompts", {"prompts": "Think."}),
            ("prompts", {"prompts": {"Think."}}),
            ("prompts", {"prompts": [""]}),
            ("prompts", {"prompts": ["  \n"]}),
            ("prompts", {"prompts": [3]}),
            ("prompts", {"prompts": {1: "Think."}}),
            ("prompts", {"prompts": {"": "Think."}}),
            ("prompts", {"prompts": ["Think.", "Think."]}),
            ("prompts", {"prompts": {"a": str.upper, "b": str.upper}}),
            ("prompts", {"prompts": [Echo().__call__]}),
            ("temperatures", {"temperatures": 0.7}),
            ("temperatures", {"temperatures": [True]}),
            ("temperatures", {"temperatures": ["0.7"]}),
            ("temperatures", {"temperatures": [-0.1]}),
            ("temperatures", {"temperatures": [2.1]}),
            ("temperatures", {"temperatures": [float("nan")]}),
            ("temperatures", {"temperatures": [1, 1.0]}),
            ("samplers", {"samplers": "large"}),
            ("samplers", {"samplers": [3]}),
            ("samplers", {"samplers": ["large", "large"]}),
            ("seed", {"prompts": ["Think."], "seed": 1.0}),
            ("seed", {"prompts": ["Think."], "seed": True}),
        ],
    )
    def test_by_name(self, parameter, given):
        """The parameter is in the message."""
        with pytest.raises(UsageError) as caught:
            Vary(**given)
        assert caught.value.parameter == parameter

    def test_no_text_of_a_prompt_is_in_a_message(self):
        """Prompts are content, and are called by their names."""
        with pytest.raises(UsageError) as caught:
            Vary(prompts=["a secret", "a secret"])
        assert "secret" not in str(caught.value)
        assert "prompt 1" in str(caught.value)

    def test_lists_are_copied(self):
        """It is immutable, can be hashed, and reprs as its constructor."""
        temperatures = [0.3, 0.7]
        vary = Vary(prompts=["{prompt}"], temperatures=temperatures, seed=1)
        temperatures.append(1.0)
        assert hash(vary) == hash(copy.copy(vary))
        assert eval(repr(vary)) == vary  # noqa: S307 - our own repr
        assert vary.count == 2

    def test_names_in_a_mapping_are_copied(self):
        """A mapping can be changed afterwards, too."""
        named = {"as it is": "{prompt}"}
        vary = Vary(prompts=named)
        named["other"] = "Think."
        assert [each.name for each in vary.variants(2)] == ["as it is", "as it is"]

    def test_it_can_be_pickled(self):
        """With prompts that can."""
        vary = Vary(prompts={"loud": str.upper, "quiet": "Be quiet."}, temperatures=[0.5])
        assert pickle.loads(pickle.dumps(vary)) == vary  # noqa: S301 - our own


class TestPrompts:
    """What a prompt makes of an input."""

    def test_an_instruction_is_put_after_a_text(self):
        """With a blank line between."""
        assert edited("17 * 23?", "Think first.") == "17 * 23?\n\nThink first."

    def test_a_template_holds_the_prompt(self):
        """At each place, and other braces stay."""
        template = '{"q": "{prompt}"} {prompt}'
        assert edited("1 {prompt}", template) == '{"q": "1 {prompt}"} 1 {prompt}'
        assert edited("17 * 23?", "{prompt}") == "17 * 23?"

    def test_in_a_chat_it_edits_the_last_user_message(self):
        """Everything else stays, and the input itself is not changed."""
        before = copy.deepcopy(MESSAGES)
        after = edited(MESSAGES, "Think first.")
        assert before == MESSAGES
        user = {"role": "user", "content": "17 * 23?\n\nThink first.", "name": "ann"}
        assert after == [MESSAGES[0], user, MESSAGES[2]]

    def test_a_function_gets_any_input(self):
        """And is called with it alone."""
        assert edited({"question": "q"}, lambda each: {**each, "style": "brief"}) == {
            "question": "q",
            "style": "brief",
        }

    @pytest.mark.parametrize(
        "prompt", [{"question": "q"}, 17, [], [{"role": "user", "content": [{"type": "image"}]}]]
    )
    def test_a_string_does_not_fit_every_input(self, prompt):
        """Then a function is asked for, and nothing of the input is shown."""
        with pytest.raises(UsageError, match="give a function") as caught:
            edited(prompt, "Think first.")
        assert caught.value.parameter == "prompts"
        assert "question" not in str(caught.value)

    def test_a_function_that_raises_is_named(self):
        """By the type of what it raised, without its text."""

        def broken(prompt):
            raise LookupError(prompt)

        with pytest.raises(UsageError, match="it raised LookupError") as caught:
            edited("a secret", broken)
        assert "secret" not in str(caught.value)
        assert isinstance(caught.value.__cause__, LookupError)

    def test_a_function_that_forgets_to_return_is_named(self):
        """None is no input."""
        with pytest.raises(UsageError, match="it returned None"):
            edited("q", lambda _: None)

    def test_without_an_edit_the_prompt_stays(self):
        """The very object."""
        prompt = object()
        assert Variant("other").edited(prompt) is prompt


class TestOrder:
    """Which draw gets which variant."""

    @given(
        sizes=st.tuples(*(st.integers(0, 4) for _ in range(3))).filter(any),
        n=st.integers(0, 60),
    )
    def test_any_first_draws_are_balanced(self, sizes, n):
        """Over all combinations where they fit, else over the values of each dimension."""
        prompts, temperatures, samplers = sizes
        vary = Vary(
            prompts=[f"Think {i}." for i in range(prompts)],
            temperatures=[i / 4 for i in range(temperatures)],
            samplers=[f"model {i}" for i in range(samplers)],
        )
        variants = vary.variants(n)
        assert len(variants) == n
        names = [each.name for each in variants]
        if vary.count > n:
            parts = [name.split(", ") for name in names]
            orders = (
                [
                    (list(each), size)
                    for each, size in zip(
                        zip(*parts, strict=True), filter(None, sizes), strict=True
                    )
                ]
                if parts
                else []
            )
        else:
            orders = [(names, vary.count)]
        for order, size in orders:
            for first in range(1, n + 1):
                uses = Counter(order[:first]).values()
                assert max(uses) - (min(uses) if len(uses) == size else 0) <= 1

    def test_a_seed_fixes_it(self):
        """And a run without one has an order of its own."""
        seeded = Vary(temperatures=[0.3, 0.5, 0.7], samplers=["a", "b"], seed=5)
        assert seeded.variants(12) == seeded.variants(12)
        fresh = Vary(temperatures=[0.3, 0.5, 0.7], samplers=["a", "b"])
        orders = {tuple(each.name for each in fresh.variants(12)) for _ in range(20)}
        assert len(orders) > 15

    def test_every_variant_is_as_often_the_first(self):
        """An order that always began with the same one would decide easy requests by it alone."""
        vary = Vary(prompts=["{prompt}", "Think.", "Think twice."])
        firsts = Counter(vary.variants(3)[0].name for _ in range(3000))
        assert set(firsts) == {"prompt 0", "prompt 1", "prompt 2"}
        assert all(880 < count < 1120 for count in firsts.values())  # 4.6 standard deviations

    def test_each_combination_differs_in_all_that_its_parts_do(self):
        """Name, prompt, options and sampler."""
        vary = Vary(prompts={"loud": str.upper}, temperatures=[0.5], samplers=["large"])
        (variant,) = vary.variants(1)
        assert variant.name == "loud, temperature 0.5, large"
        assert variant.edited("q") == "Q"
        assert variant.options == {"temperature": 0.5}
        assert variant.sampler == "large"


class TestInARun:
    """What reaches the sampler."""

    def test_prompts_and_temperatures(self):
        """Each sample knows its variant; other options of the run stay."""
        vary = Vary(prompts={"loud": str.upper, "as it is": "{prompt}"}, temperatures=[0.2, 0.8])
        samples = drawn(8, vary, options=lambda index: {"seed": index, "temperature": 1.0})
        seen = {(each.variant, each.value[:2]) for each in samples}
        assert seen == {
            ("loud, temperature 0.2", ("Q", 0.2)),
            ("loud, temperature 0.8", ("Q", 0.8)),
            ("as it is, temperature 0.2", ("q", 0.2)),
            ("as it is, temperature 0.8", ("q", 0.8)),
        }
        assert sorted(each.value[2] for each in samples) == list(range(8))

    def test_samplers(self):
        """Balanced over those that are named, and not the others."""
        samplers = {name: ScriptedSampler([name]) for name in ("small", "large", "unused")}
        samples = drawn(6, Vary(samplers=["small", "large"]), samplers)
        assert Counter(each.answer for each in samples) == {"small": 3, "large": 3}
        assert all(each.variant == each.sampler == each.answer for each in samples)

    def test_best_of_n_varies_as_well(self):
        """The verifier sees the samples of all variants."""
        vary = Vary(prompts={"loud": str.upper, "as it is": "{prompt}"})
        strategy = BestOfN(2, verifier=lambda value: value[0] == "Q", vary=vary)
        result = run_virtual(solve("q", sampler=Echo(), strategy=strategy))
        assert {each.variant for each in result.samples} == {"loud", "as it is"}

    @pytest.mark.parametrize(
        ("vary", "parameter"),
        [
            (Vary(samplers=["small", "huge"]), "samplers"),
            (Vary(temperatures=[0.5]), "temperatures"),
            (Vary(samplers=["small"], temperatures=[0.5]), "temperatures"),
        ],
    )
    def test_what_the_samplers_cannot_do_costs_nothing(self, vary, parameter):
        """It is refused before the first call."""
        samplers = {name: ScriptedSampler([name]) for name in ("small", "large")}
        plain = {name: _alone(each) for name, each in samplers.items()}
        with pytest.raises(UsageError) as caught:
            drawn(4, vary, plain)
        assert caught.value.parameter == parameter
        assert not any(each.calls for each in samplers.values())

    def test_only_the_samplers_that_are_used_must_take_options(self):
        """Another one of the run may take the prompt alone."""
        sources = as_sources({"small": Echo(), "large": _alone(ScriptedSampler(["x"]))})
        Vary(temperatures=[0.5]).check(sources)
        Vary(temperatures=[0.5], samplers=["small"]).check(sources)
        with pytest.raises(UsageError, match="'large' takes the prompt alone"):
            Vary(temperatures=[0.5], samplers=["small", "large"]).check(sources)


def _alone(sampler):
    """A sampler that takes no options."""

    async def ask(prompt):
        return await sampler(prompt)

    return ask
