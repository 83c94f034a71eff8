"""Error rates against worked examples, scikit-learn, and Kaldi's rule in a loop."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve

from chronovox.cli import UserError
from chronovox.evaluation import bootstrap, cllr, eer, eer_kaldi, metrics, min_dcf
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
    is_target = generator.random(300) < 0.4
    scores = generator.normal(size=300) + is_target
    target, nontarget = scores[is_target], scores[~is_target]
    expected = {"eer": eer(target, nontarget)}
    for p in (0.01, 0.05, 0.001, 0.5):
        expected[f"mindcf_{p}"] = min_dcf(target, nontarget, p)
    found = metrics.rates(SortedTrials(scores, is_target).curve())
    assert found.pop("min_cllr") == pytest.approx(pav_cllr(target, nontarget))
    assert found == expected


def test_costs_and_cllr_of_a_worked_example():
    # Ratios of 4, 1 and 1/2 for targets, of 1/4, 1 and 2 for non-targets.
    target, nontarget = np.log([4, 1, 0.5]), np.log([0.25, 1, 2])
    # log2(1 + 1/4), 1, log2(1 + 2); log2(1 + 1/4), 1, log2(1 + 2).
    each = (np.log2(1.25) + 1 + np.log2(3)) / 3
    assert cllr(target, nontarget) == pytest.approx(each)
    trials = SortedTrials([*target, *nontarget], [1, 1, 1, 0, 0, 0], (0.5, 0.2))
    curve = trials.curve()
    assert curve.cllr() == pytest.approx(each)
    # At P 0.5 accept from log 1 on: 1/3 missed, 2/3 false alarms.
    assert curve.act_dcf(0.5) == pytest.approx(1.0)
    # At P 0.2 accept from log 4 on: 2/3 missed, no false alarm.
    assert curve.act_dcf(0.2) == pytest.approx(2 / 3)
    # By score: 1/4 n, 1/2 t, 1 n and t, 2 n, 4 t. Pooled: n; t n t n (1/2); t.
    assert curve.min_cllr() == pytest.approx(2 / 3)
    assert curve.min_dcf(0.5) == pytest.approx(2 / 3)


def test_costs_of_errors_are_a_prior():
    generator = np.random.default_rng(2)
    target, nontarget = generator.normal(2, 1, 90), generator.normal(0, 1, 200)
    fnr, fpr = roc(target, nontarget)
    cost = np.min(0.02 * 10 * fnr + 0.98 * 3 * fpr) / min(0.02 * 10, 0.98 * 3)
    assert min_dcf(target, nontarget, 0.02, 10, 3) == pytest.approx(cost)


def pav_cllr(target, nontarget) -> float:
    """By scikit-learn's isotonic regression of the label on the score."""
    labels = np.arange(len(target) + len(nontarget)) < len(target)
    scores = np.concatenate([target, nontarget])
    posterior = IsotonicRegression().fit(scores, labels).predict(scores)
    with np.errstate(divide="ignore"):
        ratio = np.log(posterior) - np.log1p(-posterior)
    ratio -= np.log(len(target) / len(nontarget))
    return cllr(ratio[labels], ratio[~labels])


@settings(max_examples=300, deadline=None)
@given(some_scores, some_scores)
def test_pool_adjacent_violators_as_scikit_learn(target, nontarget):
    trials = SortedTrials(
        [*target, *nontarget], [True] * len(target) + [False] * len(nontarget), (0.3,)
    )
    curve = trials.curve()
    assert curve.min_cllr() == pytest.approx(pav_cllr(target, nontarget), abs=1e-9)
    assert curve.min_cllr() <= curve.cllr() + 1e-9
    assert curve.min_dcf(0.3) <= curve.act_dcf(0.3) + 1e-9
    threshold = np.log(0.7 / 0.3)
    missed = np.mean(np.array(target) < threshold)
    accepted = np.mean(np.array(nontarget) >= threshold)
    assert curve.act_dcf(0.3) == pytest.approx((0.3 * missed + 0.7 * accepted) / 0.3)
    assert curve.cllr() == pytest.approx(cllr(target, nontarget))


def test_a_cost_that_rests_on_few_errors_is_told():
    generator = np.random.default_rng(3)
    target, nontarget = generator.normal(6, 2, 4000), generator.normal(-2, 2, 4000)
    scores = np.concatenate([target, nontarget])
    curve = SortedTrials(scores, np.arange(8000) < 4000, (0.5, 0.001)).curve()
    assert min((target < 0).sum(), (nontarget >= 0).sum()) == 2
    assert metrics.few_errors(curve, (0.5, 0.001)) == [
        "mindcf_0.001", "actdcf_0.5", "actdcf_0.001"
    ]  # fmt: skip
    target -= 4
    scores = np.concatenate([target, nontarget])
    curve = SortedTrials(scores, np.arange(8000) < 4000, (0.5, 0.001)).curve()
    assert min((target < 0).sum(), (nontarget >= 0).sum()) > 30
    assert metrics.few_errors(curve, (0.5,)) == []
    assert (nontarget >= np.log(999)).sum() < 30
    assert metrics.few_errors(curve, (0.001,)) == ["mindcf_0.001", "actdcf_0.001"]


@pytest.mark.parametrize(("missed", "accepted"), [(30, 30), (29, 30), (30, 29)])
def test_thirty_errors_of_a_kind_are_not_few(missed, accepted):
    target = np.where(np.arange(300) < missed, -2.0, 2.0)
    nontarget = np.where(np.arange(300) < accepted, 2.0, -2.0)
    scores = np.concatenate([target, nontarget])
    curve = SortedTrials(scores, np.arange(600) < 300, (0.5,)).curve()
    few = [] if missed == accepted else ["mindcf_0.5", "actdcf_0.5"]
    assert metrics.few_errors(curve, (0.5,)) == few


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
    ordered = SortedTrials(scores, is_target, (0.2,))
    for curve, counts in zip(
        bootstrap.curves(ordered, speakers, draws), draws, strict=True
    ):
        repeats = counts[speakers.enrol] * np.where(is_target, 1, counts[speakers.test])
        found = metrics.rates(curve, (0.2,))
        many = np.repeat(scores, repeats), np.repeat(is_target, repeats)
        if len(set(many[1].tolist())) == 2:
            expected = metrics.rates(SortedTrials(*many, (0.2,)).curve(), (0.2,))
            assert found == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(list(found.values())).all()


def test_draws_are_fixed_and_count_every_speaker_place():
    draws = bootstrap.draw_speakers(7, 50)
    assert (draws.sum(axis=1) == 7).all()
    assert (draws == bootstrap.draw_speakers(7, 50)).all()
    assert (draws != bootstrap.draw_speakers(7, 50, seed=2)).any()


def test_seeds_are_not_drawn_as_speakers_or_as_other_systems():
    seeds = [bootstrap.draw_seeds(5, 50, stream) for stream in (0, 1)]
    assert (seeds[0].sum(axis=1) == 1).all()
    draws = [bootstrap.draw_speakers(5, 50) / 5, *seeds]
    assert len({draw.tobytes() for draw in draws}) == 3


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
