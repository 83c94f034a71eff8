"""What the years cost: only-CAg minus match-CAg."""

from collections import Counter

import numpy as np
import pytest
from conftest import ROOT

import measure_age_effect
import select_trials
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.evaluation import eer
from chronovox.scoring import write_scores
from chronovox.trials import read_trials

INFO = {
    "model": "x", "seed": 1, "config": "-", "backend": "cosine", "marks": [],
    "llr": False, "embeddings_sha256": "",
}  # fmt: skip
YEARS = {"0": 30.0, "1": 31.0, "2": 45.0}
ALONE = "s00"  # has no two videos near in time


@pytest.fixture
def data(tmp_path):
    """Twelve speakers with videos at 30, 31 and 45 years, but one at 30 and 45 only."""
    data = tmp_path / "data"
    utts = {
        f"s{spk:02d}-{session}-{utt}": (f"s{spk:02d}", session)
        for spk in range(12)
        for session in YEARS
        for utt in range(2)
        if (f"s{spk:02d}", session) != (ALONE, "1")
    }
    for name, table in {
        "utt2spk": {utt: spk for utt, (spk, _) in utts.items()},
        "utt2session": {utt: session for utt, (_, session) in utts.items()},
        "utt2age": {utt: YEARS[session] for utt, (_, session) in utts.items()},
    }.items():
        write_table(data / name, table)
    return data


def select(data, seed=1, kinds=("only", "match")):
    for kind in kinds:
        words = ["--rules", ROOT / f"conf/trials/{kind}-CA10.yaml", "--seed", seed]
        path = data / f"trials/{kind}-CA10"
        assert select_trials.main([*map(str, words), str(data), str(path)]) == 0


def score(data, folder, cost: float):
    """Targets score 2, less `cost` if the years are many; non-targets 0; noise 1."""
    rng = np.random.default_rng(0)
    kept = {}
    for kind, mean in (("only", 2 - cost), ("match", 2)):
        trials = read_trials(data / f"trials/{kind}-CA10")
        pairs = list(zip(trials.enrol, trials.test, strict=True))
        noise = {pair: rng.normal() for pair in pairs if pair not in kept}
        kept |= noise
        scores = np.array([kept[pair] for pair in pairs]) + mean * trials.is_target
        write_scores(folder / f"{kind}-CA10.cosine", trials, scores, INFO)
    return folder


def measure(data, folder, capsys) -> list[str]:
    assert measure_age_effect.main([str(data), str(folder)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 4
    return rows[3]


def test_the_difference_is_of_trials_that_both_lists_have(data, tmp_path, capsys):
    select(data)
    folder = score(data, tmp_path / "exp/net_s1/scores_test", cost=1.5)
    found = measure(data, folder, capsys)
    only, match = (
        [line.split() for line in (data / f"trials/{kind}-CA10").open()]
        for kind in ("only", "match")
    )
    common = Counter(enrol for enrol, _, label in match if label == "target")
    assert all(enrol[4] != "2" for enrol in common)  # nothing is near 45 years
    assert len(common) > 20 and not any(enrol.startswith(ALONE) for enrol in common)
    assert set(common.values()) == {1, 2}
    both = [row for row in only if row[2] == "nontarget" and row in match]
    for enrol, number in common.items():
        own = [row for row in only if row[0] == enrol and row[2] == "target"]
        assert len(own) >= number
        both += own[:number]
    num_targets = common.total()
    assert 0 < num_targets < sum(row[2] == "target" for row in only)
    rates = []
    for kind, rows in ("only", both), ("match", match):
        lines = [line.split() for line in (folder / f"{kind}-CA10.cosine").open()]
        scores = {(enrol, test): float(score) for enrol, test, score in lines}
        values = np.array([scores[enrol, test] for enrol, test, _ in rows])
        labels = np.array([label == "target" for _, _, label in rows])
        rates.append(100 * eer(values[labels], values[~labels]))
    assert found[:4] == ["net_s1", "10", str(num_targets), "11"]
    wanted = [*rates, rates[0] - rates[1]]
    assert [float(word) for word in found[4:7]] == pytest.approx(wanted, abs=0.006)
    low, high = (float(word.strip("[],")) for word in found[7:])
    assert 0 < low < wanted[2] < high


def test_without_an_effect_the_interval_holds_zero(data, tmp_path, capsys):
    select(data)
    found = measure(data, score(data, tmp_path / "net/scores_test", cost=0.0), capsys)
    low, high = (float(word.strip("[],")) for word in found[7:])
    assert low < 0 < high


def test_lists_that_are_no_pair_are_refused(data, tmp_path, capsys):
    select(data)
    folder = score(data, tmp_path / "net/scores_test", cost=0.0)
    select(data, seed=2, kinds=["only"])
    with pytest.raises(UserError, match="non-targets that .*only-CA10 has not: select"):
        measure_age_effect.main([str(data), str(folder)])
    select(data, seed=2)
    with pytest.raises(
        UserError, match="are of another version of .*CA10: score again"
    ):
        measure_age_effect.main([str(data), str(folder)])
    (folder / "match-CA10.cosine").unlink()
    assert measure_age_effect.main([str(data), str(folder)]) == 0
    assert capsys.readouterr().out == ""
