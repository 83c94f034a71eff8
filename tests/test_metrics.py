"""Error rates against worked examples, scikit-learn, and Kaldi's rule in a loop."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from chronovox.cli import UserError
from chronovox.evaluation import bootstrap, eer, eer_kaldi, measure, min_dcf
from chronovox.evaluation.metrics import SortedTrials
from chronovox.trials.lists import Speakers

# Few distinct values, so that ties are common.
some_scores = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


def test_worked_example():
    # Thresholds from below: miss 0 0 1/4 1/4 2/4 3/4 3/4 1 as the scores 1 to 8 go,
    # false alarms 1 3/4 2/4 2/4 1/4 1/4 0 0.
    target, nontarget = [3, 5, 6, 8], [1, 2, 4, 7]
    # After 3: miss 1/4, false alarm 2/4; after 4: 1/4, 1/4.
    assert eer(target, nontarget) == 0.25
    # p = 1: floor(4 * 1 / 4) = 1 above, non-target 4 < target 5: 1 / 4.
    assert eer_kaldi(target, nontarget) == 0.25
    # At P 0.5: the least of miss + false alarm is 1/4 + 1/4 after 4.
    assert min_dcf(target, nontarget, 0.5) == pytest.approx(0.5)
    # At P 0.01 a false alarm costs 99 misses: only above 7, miss 3/4.
    assert min_dcf(target, nontarget, 0.01) == pytest.approx(0.75)


def test_the_crossing_lies_between_two_points():
    # (miss, false alarm): (0, 1), (0, 1/2), (1/3, 1/2), (1/3, 0): between the last
    # two miss stays 1/3.
    assert eer([1, 3, 4], [0, 2]) == pytest.approx(1 / 3)
    # A tie of one target and one non-target: (0, 1/2) to (1/2, 0), crossing at 1/4.
    assert eer([1, 2], [0, 1]) == pytest.approx(0.25)


def test_separation_ties_and_inversion():
    assert (eer([2, 3], [0, 1]), eer_kaldi([2, 3], [0, 1])) == (0.0, 0.0)
    assert min_dcf([2, 3], [0, 1], 0.01) == 0.0
    assert eer([5, 5, 5], [5, 5]) == 0.5
    assert min_dcf([5, 5, 5], [5, 5], 0.01) == 1.0
    assert eer([0, 1], [2, 3]) == 1.0
    assert min_dcf([0, 1], [2, 3], 0.05) == 1.0


def roc(target, nontarget):
    """Miss and false-alarm rates by scikit-learn."""
    labels = np.arange(len(target) + len(nontarget)) < len(target)
    scores = np.concatenate([target, nontarget])
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return 1.0 - tpr, fpr


@settings(max_examples=300, deadline=None)
@given(some_scores, some_scores)
def test_agrees_with_scikit_learn(target, nontarget):
    fnr, fpr = roc(target, nontarget)
    gap = fnr - fpr  # falls from 1 to -1 along the curve
    after = int(np.argmax(gap <= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    expected = fnr[after - 1] + share * (fnr[after] - fnr[after - 1])
    assert eer(target, nontarget) == pytest.approx(expected, abs=1e-12)
    for p in (0.01, 0.05, 0.001, 0.5, 0.9):
        cost = np.min(p * fnr + (1 - p) * fpr) / min(p, 1 - p)
        assert min_dcf(target, nontarget, p) == pytest.approx(cost, abs=1e-9)


def test_agrees_with_a_root_finder_on_continuous_scores():
    generator = np.random.default_rng(0)
    target, nontarget = generator.normal(1.5, 1, 700), generator.normal(0, 1, 900)
    fnr, fpr = roc(target, nontarget)
    expected = brentq(lambda x: np.interp(x, fpr, fnr) - x, 0.0, 1.0)
    assert eer(target, nontarget) == pytest.approx(expected, abs=1e-3)


def kaldi_loop(target, nontarget) -> float:
    """The step rule, one target at a time."""
    target, nontarget = sorted(target), sorted(nontarget)
    chosen = len(target) - 1
    for missed in range(len(target) - 1):
        accepted = int(len(nontarget) * missed / len(target))
        if nontarget[len(nontarget) - 1 - accepted] < target[missed]:
            chosen = missed
            break
    return chosen / len(target)


@settings(max_examples=300, deadline=None)
@given(some_scores, some_scores)
def test_kaldi_rule_agrees_with_a_loop(target, nontarget):
    assert eer_kaldi(target, nontarget) == kaldi_loop(target, nontarget)


def test_all_rates_from_one_sort():
    generator = np.random.default_rng(1)
    scores, is_target = generator.normal(size=300), generator.random(300) < 0.4
    rates = measure(SortedTrials(scores, is_target))
    target, nontarget = scores[is_target], scores[~is_target]
    assert rates == {
        "eer": eer(target, nontarget),
        "eer_kaldi": eer_kaldi(target, nontarget),
        "mindcf_0.01": min_dcf(target, nontarget, 0.01),
        "mindcf_0.05": min_dcf(target, nontarget, 0.05),
        "mindcf_0.001": min_dcf(target, nontarget, 0.001),
    }


@pytest.mark.parametrize(
    ("target", "nontarget", "message"),
    [
        ([], [1.0], "there is no target trial"),
        ([1.0], [], "there is no non-target trial"),
        ([1.0, float("nan")], [0.0], "a score is NaN or infinite"),
        ([1.0], [float("-inf")], "a score is NaN or infinite"),
    ],
)
def test_no_number_without_a_basis(target, nontarget, message):
    for function in (eer, eer_kaldi, lambda t, n: min_dcf(t, n, 0.01)):
        with pytest.raises(UserError, match=message):
            function(target, nontarget)


# The bootstrap over speakers


@st.composite
def spoken_trials(draw):
    """Scores, labels and speakers of trials of both kinds among a few speakers."""
    num_speakers = draw(st.integers(2, 5))
    side = st.integers(0, num_speakers - 1)
    rows = draw(
        st.lists(st.tuples(side, side, st.integers(0, 5)), min_size=2, max_size=30)
    )
    enrol, test, scores = (np.array(column) for column in zip(*rows, strict=True))
    assume(0 < (enrol == test).sum() < len(rows))
    names = [f"s{number}" for number in range(num_speakers)]
    return scores.astype(float), Speakers(names, enrol, test)


@settings(max_examples=100, deadline=None)
@given(spoken_trials(), st.integers(0, 100))
def test_weights_equal_repeated_trials(world, seed):
    scores, speakers = world
    is_target = speakers.enrol == speakers.test
    draws = bootstrap.draw_speakers(len(speakers.names), 5, seed)
    found = bootstrap.eer_of_draws(SortedTrials(scores, is_target), speakers, draws)
    for value, counts in zip(found, draws, strict=True):
        repeats = counts[speakers.enrol] * np.where(is_target, 1, counts[speakers.test])
        target = np.repeat(scores[is_target], repeats[is_target])
        nontarget = np.repeat(scores[~is_target], repeats[~is_target])
        if len(target) and len(nontarget):
            assert value == pytest.approx(eer(target, nontarget), abs=1e-12)
        else:
            assert np.isnan(value)


def test_draws_are_fixed_and_count_every_speaker_place():
    draws = bootstrap.draw_speakers(7, 50)
    assert (draws.sum(axis=1) == 7).all()
    assert (draws == bootstrap.draw_speakers(7, 50)).all()
    assert (draws != bootstrap.draw_speakers(7, 50, seed=2)).any()


def test_the_interval_is_wider_where_speakers_differ():
    """With one hard speaker in ten, trials are no independent evidence."""
    generator = np.random.default_rng(0)
    num, speakers = 4000, 20
    enrol = generator.integers(speakers, size=num)
    is_target = np.arange(num) % 2 == 0
    test = np.where(is_target, enrol, (enrol + 1) % speakers)
    people = Speakers([str(n) for n in range(speakers)], enrol, test)
    draws = bootstrap.draw_speakers(speakers, 300)
    widths = []
    for spread in (0.0, 2.0):
        offset = spread * generator.normal(size=speakers)[enrol]
        scores = generator.normal(size=num) + is_target * (3 + offset)
        values = bootstrap.eer_of_draws(SortedTrials(scores, is_target), people, draws)
        low, high = bootstrap.interval(values)
        assert low < eer(scores[is_target], scores[~is_target]) < high
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_no_interval_without_a_draw():
    assert bootstrap.interval(np.array([np.nan, np.nan])) is None
    assert bootstrap.interval(np.array([0.5, np.nan, 0.5])) == (0.5, 0.5)
