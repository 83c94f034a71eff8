"""How voices age: a law with known truth, not a model of real people.

A parameter at age a is its value at 20 plus
    dose * size * (population(gender, a) + own * max(0, a - onset) / (80 - onset)),
where `population` is 0 at 20 and +1 or -1 at 80, not linear and not alike for men
and women, and `own` is drawn anew for each talker and parameter. With a variance
`own_ratio` of 1 the talkers' own change from 20 to 80 is as large as the shared
one: no single direction of ageing holds for everybody.
"""

import dataclasses

import numpy as np

from talkers.settings import PARAMETERS, Settings, stream

AGES = (20.0, 35.0, 50.0, 65.0, 80.0)

# Population change at AGES of men and of women, in parts of `ageing`.
POPULATION = {
    "tract_pct": ((0, -0.1, -0.2, -0.5, -1), (0, -0.2, -0.7, -0.9, -1)),
    "f1_pct": ((0, -0.3, -0.5, -0.8, -1), (0, -0.1, -0.3, -0.9, -1)),
    "f2_pct": ((0, 0.2, 0.3, 0.6, 1), (0, -0.1, -0.6, -0.8, -1)),
    "f3_pct": ((0, -0.1, -0.5, -0.9, -1), (0, 0.1, 0.4, 0.9, 1)),
    "f4_pct": ((0, 0.4, 0.7, 0.9, 1), (0, 0.1, 0.2, 0.6, 1)),
    "width_pct": ((0, 0.1, 0.3, 0.7, 1), (0, 0.1, 0.5, 0.8, 1)),
    "pitch_st": ((0, -0.3, -0.4, 0.2, 1), (0, -0.2, -0.7, -1.1, -1)),
    "range_st": ((0, -0.1, -0.2, -0.6, -1), (0, 0.1, -0.3, -0.7, -1)),
    "roughness": ((0, 0.1, 0.3, 0.7, 1), (0, 0.0, 0.4, 0.9, 1)),
    "flutter": ((0, 0.0, 0.2, 0.6, 1), (0, 0.0, 0.3, 0.7, 1)),
    "breath": ((0, 0.1, 0.2, 0.6, 1), (0, 0.2, 0.6, 0.9, 1)),
    "tilt_db": ((0, -0.2, -0.5, -0.8, -1), (0, -0.1, -0.3, -0.7, -1)),
    "rate_wpm": ((0, 0.1, -0.1, -0.5, -1), (0, 0.1, -0.2, -0.6, -1)),
}


@dataclasses.dataclass(frozen=True)
class Law:
    """One talker's ageing. `own`: a factor for each of PARAMETERS."""

    gender: str
    ageless: bool
    onset: float
    own: dict[str, float]


def draw(settings: Settings, index: int, gender: str) -> Law:
    """The law of the talker with this index; the same at every dose."""
    rng = stream(settings, "ageing", index)
    ageless = bool(rng.random() < settings.ageless_share)
    onset = float(rng.uniform(*settings.onset_years))
    own = rng.normal(0.0, settings.own_ratio**0.5, len(PARAMETERS))
    return Law(gender, ageless, onset, dict(zip(PARAMETERS, own.tolist(), strict=True)))


def shift(settings: Settings, law: Law, age: float) -> dict[str, float]:
    """How far each of PARAMETERS has moved at `age` (years) from its value at 20."""
    dose = 0.0 if law.ageless else settings.dose
    ramp = max(0.0, age - law.onset) / (AGES[-1] - law.onset)
    moved = {}
    for name in PARAMETERS:
        population = np.interp(age, AGES, POPULATION[name][law.gender == "f"])
        size = getattr(settings.voice, name).ageing
        moved[name] = dose * size * (float(population) + law.own[name] * ramp)
    return moved
