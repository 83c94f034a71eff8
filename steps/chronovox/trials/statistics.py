"""What is told of a trial list: how many of what, and the years between its sides."""

import numpy as np


def describe(is_target: np.ndarray, enrol_speaker: np.ndarray, gap: np.ndarray) -> dict:
    """Numbers by name, those of table 2 of Qin et al. (Interspeech 2022) among them.

    is_target bool, enrol_speaker, gap (years, NaN where not known): `(N,)`. Means and
    standard deviations of gaps are left out where no gap is known.
    """
    numbers = {
        "spk": len(np.unique(enrol_speaker)),
        "trials": len(is_target),
        "targets": int(is_target.sum()),
        "non-targets": int((~is_target).sum()),
    }
    for name, chosen in (("target", is_target), ("non-target", ~is_target)):
        known = gap[chosen & ~np.isnan(gap)]
        if len(known):
            numbers[f"{name}-gap-mean"] = f"{known.mean():.2f}"
            numbers[f"{name}-gap-sd"] = f"{known.std():.2f}"
    return numbers
