"""Drawing partners for enrolments, uniformly among the pairs that the rules allow.

No pair may be drawn in both orders, so each belongs to one of its two utterances:
every utterance has a place on a circle, and a pair belongs to the one from which the
other lies within half a turn ahead. Hashes of the places decide what is drawn, so it
is a function of the seed and of the utterances that are allowed, whatever is drawn
before. Where the pairs of its own do not suffice, an utterance also takes those that
their owners left.

Partners are row numbers `(U, K)`, with NONE in the empty places behind them.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from chronovox.trials.allowance import Allowance
from chronovox.trials.pool import members

NONE = -1
_HALF_TURN = np.uint64(2**63)
_BLOCK = 2**22  # pairs that are looked at in one go
_TRIES = 40  # each hits a pair of its own every other time
_MANY = 64  # partners, from which on all candidates are looked at


def places(utts: list[str], seed: int) -> np.ndarray:
    """The place of every utterance on the circle of 2^64 points, `(U,)` uint64."""
    digests = (
        hashlib.blake2b(f"{seed} {utt}".encode(), digest_size=8).digest()
        for utt in utts
    )
    return np.frombuffer(b"".join(digests), "<u8")


def empty(asked: np.ndarray) -> np.ndarray:
    """Partners `(U, K)` to be drawn, where `asked (U,)` are."""
    return np.full((len(asked), min(int(asked.max(initial=0)), len(asked))), NONE)


def count(partners: np.ndarray) -> np.ndarray:
    """How many partners each row has, `(U,)`."""
    return (partners != NONE).sum(axis=1)


def draw_targets(allowance: Allowance, partners, given_up, asked, circle) -> np.ndarray:
    """Draw target partners until each row has `asked[row]`, or all there are.

    partners: those that rows have already; given_up `(U, R)`: those that they shall not
    get, but that may get them. circle: what `places` gave. Returns how many pairs are
    allowed, `(U,)`, of rows that lacked some.
    """
    num_allowed = np.zeros(len(asked), int)
    width = 1 + partners.shape[1] + given_up.shape[1]
    lack = count(partners) < asked
    # While nothing is drawn, what belongs to a row is free.
    own = _is_own if (partners != NONE).any() else _belongs
    for rows in members(allowance.pool.speaker):
        if not lack[rows].any():
            continue
        for condition in (own, _is_left):
            short = rows[count(partners[rows]) < asked[rows]]
            for block in _blocks(short, len(rows) * width):
                allowed = allowance.targets(block[:, None], rows)
                if condition is own:
                    num_allowed[block] = allowed.sum(axis=1)
                if given_up.shape[1]:
                    allowed &= ~_holds(given_up, block, rows)
                allowed &= condition(partners, block, rows, circle)
                _fill(partners, block, rows, allowed, asked, circle)
    return num_allowed


def draw_nontargets(
    allowance: Allowance, partners, asked, circle, owned: bool, targets=None
) -> None:
    """Draw non-target partners until each row has `asked[row]`, or all there are.

    owned: among the pairs that belong to the row, else among those that their owners
    left, once all have drawn. targets `(U,)`: those whose age the non-targets must
    have, within the tolerance of the rules.
    """
    condition = _is_own if owned else _is_left
    lack = count(partners) < asked
    for rows in members(allowance.group):
        enrolling = rows[lack[rows]]
        if len(enrolling) == 0:
            continue
        windows = _windows(allowance, rows, enrolling, targets)
        if owned and partners.shape[1] <= _MANY:
            _try(allowance, partners, asked, circle, enrolling, windows)
        short = np.flatnonzero(count(partners[enrolling]) < asked[enrolling])
        for number in short:
            row, others = enrolling[number : number + 1], windows.all(number)
            allowed = allowance.nontargets(row[:, None], others)
            allowed &= condition(partners, row, others, circle)
            _fill(partners, row, others, allowed, asked, circle)


class _Windows(NamedTuple):
    """The candidates of R enrolments: a stretch each of `order (N,)`.

    first, last `(R,)`: where it begins and ends (excluded).
    """

    order: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def pick(self, numbers, hashes) -> np.ndarray:
        """One candidate, by a hash, of each of those enrolments."""
        sizes = (self.last - self.first)[numbers].astype(np.uint64)
        return self.order[self.first[numbers] + (hashes % sizes).astype(int)]

    def all(self, number: int) -> np.ndarray:
        """All candidates of an enrolment."""
        return self.order[self.first[number] : self.last[number]]


def _windows(allowance: Allowance, rows, enrolling, targets) -> _Windows:
    """Where non-targets of `enrolling` are to be looked for among `rows`."""
    if targets is None:
        first = np.zeros(len(enrolling), int)
        return _Windows(rows, first, first + len(rows))
    age = allowance.pool.age
    rows = rows[~np.isnan(age[rows])]
    order = rows[np.argsort(age[rows], kind="stable")]
    low, high = allowance.age_bounds(enrolling, targets[enrolling])
    first = np.searchsorted(age[order], low, "left")
    return _Windows(order, first, np.searchsorted(age[order], high, "right"))


def _try(allowance: Allowance, partners, asked, circle, enrolling, windows) -> None:
    """Draw from the windows at random, again and again, and keep what is allowed."""
    open_ = np.flatnonzero(windows.last > windows.first)
    have = count(partners[enrolling])
    for attempt in range(_TRIES + 2 * partners.shape[1]):
        open_ = open_[have[open_] < asked[enrolling[open_]]]
        if len(open_) == 0:
            return
        rows = enrolling[open_]
        hashes = _mix(circle[rows], np.uint64(attempt), have[open_])
        others = windows.pick(open_, hashes)
        good = allowance.pool.speaker[rows] != allowance.pool.speaker[others]
        good &= _is_ahead(circle, rows, others)
        good &= (partners[rows] != others[:, None]).all(axis=1)
        good &= (partners[others] != rows[:, None]).all(axis=1)
        partners[rows[good], have[open_[good]]] = others[good]
        have[open_[good]] += 1


def _fill(partners, rows, candidates, allowed, asked, circle) -> None:
    """Give each row those of the `allowed (R, N)` that come first by hash."""
    have = count(partners[rows])
    number = np.minimum(asked[rows] - have, allowed.sum(axis=1))
    most = int(number.max(initial=0))
    if most == 0:
        return
    keys = _mix(circle[rows][:, None], circle[candidates][None, :])
    keys[~allowed] = np.uint64(2**64 - 1)
    best = np.argpartition(keys, most - 1, axis=1)[:, :most]
    order = np.argsort(np.take_along_axis(keys, best, axis=1), axis=1, kind="stable")
    best = candidates[np.take_along_axis(best, order, axis=1)]
    for nth in range(most):
        some = number > nth
        partners[rows[some], have[some] + nth] = best[some, nth]


def _is_ahead(circle, rows, others) -> np.ndarray:
    """Whether the pairs belong to `rows`."""
    return circle[others] - circle[rows] < _HALF_TURN


def _holds(partners, rows, others) -> np.ndarray:
    """Whether each of `others` is a partner of each of `rows`, `(R, N)`."""
    return (partners[rows][:, None, :] == others[:, None]).any(axis=2)


def _belongs(_, rows, others, circle) -> np.ndarray:
    """Whether pairs `(R, N)` belong to the rows."""
    return _is_ahead(circle, rows[:, None], others)


def _is_own(partners, rows, others, circle) -> np.ndarray:
    """Whether pairs `(R, N)` belong to the rows, and neither side has drawn them."""
    free = _is_free(partners, rows, others)
    return _belongs(partners, rows, others, circle) & free


def _is_left(partners, rows, others, circle) -> np.ndarray:
    """Whether pairs `(R, N)` belong to the others, and neither side has drawn them."""
    free = _is_free(partners, rows, others)
    return ~_belongs(partners, rows, others, circle) & free


def _is_free(partners, rows, others) -> np.ndarray:
    return ~_holds(partners, rows, others) & ~_holds(partners, others, rows).T


def _blocks(rows: np.ndarray, num_others: int):
    """Split rows, so that few pairs are looked at in one go."""
    size = max(1, _BLOCK // max(1, num_others))
    return (rows[first : first + size] for first in range(0, len(rows), size))


def _mix(*values) -> np.ndarray:
    """A hash of 64-bit numbers, by the finaliser of SplitMix64."""
    total = np.uint64(0)
    for value in values:
        total = (total ^ np.asarray(value).astype(np.uint64)) * _ODD
        total = (total ^ (total >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        total = (total ^ (total >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total = total ^ (total >> np.uint64(31))
    return total


_ODD = np.uint64(0x9E3779B97F4A7C15)
