"""Values, tests and programs: what goes in comes out, and only what is equal passes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.verifiers.code.fakes import Here
from thinktwice.answers.literals import call_expression, literal
from thinktwice.sample import Sample
from thinktwice.sandbox.values import encode
from thinktwice.testing import run_virtual
from thinktwice.verifiers.code import Code, Comparison, Tolerance
from thinktwice.verifiers.code.forms import suite_of

numbers = st.integers() | st.floats() | st.booleans()
leaves = st.none() | numbers | st.complex_numbers() | st.text() | st.binary()
keys = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
    ),
    max_leaves=10,
)
ordinary = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab'\"\\\n{", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_a_literal_is_evaluated_to_the_value(value):
    """Infinities, nan and empty sets too; nothing else has to be there."""
    assert encode(eval(literal(value), {})) == encode(value)  # noqa: S307 - what we wrote


@given(st.lists(values, max_size=3))
def test_a_call_has_its_arguments(arguments):
    """In their order, and with their types."""
    took = eval(call_expression("f", arguments), {"f": lambda *given: given})  # noqa: S307
    assert encode(took) == encode(tuple(arguments))


@given(values, values)
def test_strict_is_equal_text(left, right):
    """Equal types, equal values; a tolerance accepts no less."""
    assert Comparison().same(left, left)
    assert Comparison().same(left, right) is (encode(left) == encode(right))
    near = Comparison(tolerance=Tolerance(absolute=1e-9))
    assert near.same(left, left)
    assert near.same(left, right) >= Comparison().same(left, right)


@settings(max_examples=20)  # each runs three programs
@given(
    st.lists(st.tuples(ordinary, ordinary), min_size=1, max_size=4, unique_by=lambda p: repr(p[0]))
)
def test_a_program_passes_by_the_right_values_alone(pairs):
    """As pairs and as asserts; one value that differs fails, and the score says by how many."""
    table = f"TABLE = {[(given, value) for given, value in pairs]!r}\n"
    program = (
        f"{table}def f(x):\n    return next(v for k, v in TABLE if k == x and type(k) is type(x))\n"
    )
    pairs = [(given, value) for given, value in pairs if not _alike(given, pairs)]
    tests = [((given,), value) for given, value in pairs]
    if not tests:
        return
    asserts = "\n".join(f"assert f({given!r}) == {value!r}" for given, value in pairs)
    for form, point in ((tests, "f"), (asserts, None)):
        assert _verdict(program, form, point).outcome == "pass"
    (first, value), *rest = tests
    changed = [(first, [value]), *rest]
    verdict = _verdict(program, changed, "f")
    assert verdict.outcome == "fail"
    assert verdict.score == 1 - 1 / len(tests)


def _alike(given, pairs):
    """Another input is equal to it for the table, though not for us, such as True and 1."""
    return sum(other == given for other, _ in pairs) > 1


def _verdict(program, tests, entry_point):
    code = Code(tests, entry_point=entry_point, sandbox=Here())
    sample = Sample(index=0, value=f"~~~python\n{program}~~~")
    return run_virtual(code(sample, prompt=""))


@given(st.integers(1, 200), st.floats(0, 1))
def test_what_is_held_back_is_a_share_and_never_all(count, share):
    """Each test is run once; those that are held back are the last."""
    suite = suite_of([((i,), i) for i in range(count)], entry_point="f").holding_back(share)
    assert sorted(test.expected.value for test in suite.tests) == list(range(count))
    assert suite.hidden == (min(int(count * share), count - 1) if count > 2 else 0)


@settings(max_examples=30)
@given(st.lists(st.tuples(ordinary, ordinary), min_size=1, max_size=5))
def test_asserts_and_pairs_are_the_same_tests(pairs):
    """What is read from a text is what was written."""
    asserts = [f"assert f({given!r}) == {value!r}" for given, value in pairs]
    read = [test.expected.value for test in suite_of(asserts).tests]
    assert encode(read) == encode([value for _, value in pairs])
