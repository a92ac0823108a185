"""Scores as probabilities."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import UsageError
from thinktwice.calibration import Isotonic, Platt, calibrate, load_calibration, logistic

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.9, 1.0]), st.booleans()),
    min_size=20,
    max_size=60,
)


def drawn(curve, n, seed=0):
    """Labelled scores with this chance of being right."""
    rng = random.Random(seed)
    scores = [rng.random() for _ in range(n)]
    return [(score, rng.random() < curve(score)) for score in scores]


def fit(pairs, method):
    """A calibration, or None where it is refused."""
    try:
        return calibrate(pairs, method=method)
    except UsageError:
        return None


class TestFit:
    """What was put in comes out."""

    def test_platt_finds_a_logistic_curve(self):
        """Its two parameters."""
        found = calibrate(drawn(lambda s: logistic(6 * s - 2), 4000), method="platt")
        assert isinstance(found, Platt)
        assert found.slope == pytest.approx(6, abs=0.6)
        assert found.intercept == pytest.approx(-2, abs=0.3)

    def test_isotonic_finds_any_curve_that_rises(self):
        """A step that no logistic curve fits."""
        found = calibrate(drawn(lambda s: 0.2 if s < 0.7 else 0.6, 20_000))
        assert isinstance(found, Isotonic)
        assert found(0.35) == pytest.approx(0.2, abs=0.05)
        assert found(0.85) == pytest.approx(0.6, abs=0.05)

    def test_isotonic_pools_by_hand(self):
        """Shares at 0, .5 and 1 are 1/3, 1/4 and 2/3 with the two that are put to the ends."""
        pairs = [(0.0, False)] * 20 + [(0.5, True)] * 10 + [(0.5, False)] * 10 + [(1.0, True)] * 20
        found = calibrate(pairs, method="isotonic")
        assert isinstance(found, Isotonic)
        assert found.scores == (0.0, 0.5, 1.0)
        assert found.chances == pytest.approx((1 / 21, 0.5, 20 / 21))

    def test_neighbours_that_fall_are_one_block(self):
        """.4 and .6 are right as .8 and .2: together as one half, at their mean score."""
        pairs = [(0.4, at < 16) for at in range(20)] + [(0.6, at < 4) for at in range(20)]
        pairs += [(0.0, False)] * 10 + [(1.0, True)] * 10
        found = calibrate(pairs, method="isotonic")
        assert isinstance(found, Isotonic)
        assert found.scores == (0.0, pytest.approx(0.5), 1.0)
        assert found(0.5) == pytest.approx(0.5)

    @pytest.mark.parametrize("method", ["platt", "isotonic"])
    @given(pairs=PAIRS)
    def test_it_never_falls_and_never_says_0_or_1(self, method, pairs):
        """Whatever the labels are; or it is refused."""
        found = fit(pairs, method)
        if found is None:
            return
        chances = [found(at / 20) for at in range(21)]
        assert chances == sorted(chances)
        assert min(chances) > 0
        assert max(chances) < 1

    @given(PAIRS)
    def test_isotonic_keeps_the_share_of_right_samples(self, pairs):
        """With the two that were added, the mean is that of the labels."""
        found = fit(pairs, "isotonic")
        if found is None or len({score for score, _ in pairs}) < 3:
            return
        assert isinstance(found, Isotonic)
        low, high = min(pairs)[0], max(pairs)[0]
        labels = [*pairs, (low, True), (high, False)]
        blocks = [min(found.chances, key=lambda c: abs(c - found(s))) for s, _ in labels]
        assert min(blocks) <= sum(right for _, right in labels) / len(labels) <= max(blocks)

    def test_the_order_of_the_labels_does_not_matter(self):
        """Neither for one nor for the other."""
        pairs = drawn(lambda s: s, 300)
        assert calibrate(pairs) == calibrate(pairs[::-1])
        assert calibrate(pairs[:100]) == calibrate(pairs[:100][::-1])


class TestChoice:
    """Which curve, and when none."""

    def test_few_labels_get_two_parameters(self):
        """A curve of any shape needs 200, and 50 of each kind."""
        assert isinstance(calibrate(drawn(lambda s: s, 199)), Platt)
        assert isinstance(calibrate(drawn(lambda s: s, 400)), Isotonic)
        rare = drawn(lambda s: 0.1 * s, 400)
        assert isinstance(calibrate(rare), Platt)

    @pytest.mark.parametrize(
        "pairs",
        [
            [],
            [(0.1, False), (0.9, True)] * 9,
            [(0.1, False)] * 40 + [(0.9, True)] * 4,
        ],
    )
    def test_too_few_labels_are_refused(self, pairs):
        """With the numbers that it takes."""
        with pytest.raises(UsageError, match="at least 20 labelled scores, 5 of right"):
            calibrate(pairs)

    @pytest.mark.parametrize("method", ["platt", "isotonic"])
    def test_scores_that_say_nothing_or_the_contrary_are_refused(self, method):
        """A rising curve would not be the truth."""
        with pytest.raises(UsageError, match="do not score higher than wrong ones"):
            calibrate(drawn(lambda s: 1 - s, 200), method=method)
        with pytest.raises(UsageError, match="do not score higher"):
            calibrate([(0.5, bool(at % 2)) for at in range(40)], method=method)

    @pytest.mark.parametrize(
        ("pair", "why"), [((1.2, True), "scores in"), ((0.5, 1), "whether its sample")]
    )
    def test_what_is_no_labelled_score_is_refused(self, pair, why):
        """By name."""
        with pytest.raises(UsageError, match=why):
            calibrate([pair] * 30)

    def test_an_unknown_method_is_refused(self):
        """It lists the known."""
        with pytest.raises(UsageError, match="isotonic"):
            calibrate(drawn(lambda s: s, 100), method="beta")  # type: ignore[arg-type]

    def test_perfect_scores_stay_short_of_certain(self):
        """Forty labels are no proof."""
        found = calibrate([(0.0, False), (1.0, True)] * 20)
        assert 0.9 < found(1.0) < 1
        assert 0 < found(0.0) < 0.1


class TestFiles:
    """JSON, there and back."""

    @pytest.mark.parametrize("n", [100, 400])
    def test_it_is_the_same_after_loading(self, tmp_path, n):
        """Every digit."""
        found = calibrate(drawn(lambda s: s, n))
        found.save(tmp_path / "c.json")
        assert load_calibration(tmp_path / "c.json") == found

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", '{"calibration": "beta"}', '{"calibration": "platt", "slope": -1}'],
    )
    def test_a_file_of_something_else_is_refused(self, tmp_path, text):
        """It names the file."""
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(UsageError, match=r"path|slope"):
            load_calibration(tmp_path / "c.json")

    @pytest.mark.parametrize("path", ["", 5])
    def test_a_path_is_one(self, path):
        """It names the parameter."""
        for use in (Platt(2.0, -1.0).save, load_calibration):
            with pytest.raises(UsageError, match="path"):
                use(path)

    def test_it_can_be_read(self, tmp_path):
        """A name and two numbers."""
        Platt(2.0, -1.0).save(tmp_path / "c.json")
        found = json.loads((tmp_path / "c.json").read_text())
        assert found == {"calibration": "platt", "slope": 2.0, "intercept": -1.0}


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (Platt, (0.0, 1.0)),
        (Platt, (1.0, float("nan"))),
        (Isotonic, ((), ())),
        (Isotonic, ((0.1, 0.2), (0.5, 0.5))),
        (Isotonic, ((0.2, 0.1), (0.1, 0.5))),
        (Isotonic, ((0.2,), (0.1, 0.5))),
    ],
)
def test_a_curve_that_does_not_rise_is_refused(kind, parameters):
    """However it was made."""
    with pytest.raises(UsageError):
        kind(*parameters)


def test_log_odds_beyond_a_float_do_not_overflow():
    """They are nearly certain."""
    assert 0 < logistic(-1e9) < 1e-12
    assert 1 - 1e-12 < logistic(1e9) < 1
