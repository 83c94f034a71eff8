"""Who speaks, when, and with which voice: everything but the sound."""

import dataclasses
import datetime
import math

from talkers import ageing, texts
from talkers.settings import ACCENTS, PARAMETERS, Settings, stream

SPLITS = ("train", "dev", "test")  # which speak
GROUPS = (*SPLITS, "face")  # `face` people have dates and ages, and say nothing

FIRST_DATE = datetime.date(1960, 1, 1)
LAST_DATE = datetime.date(2024, 12, 31)
YOUNGEST, OLDEST = 18.0, 80.0  # ages, years
DAYS_A_YEAR = 365.25
BETWEEN_SESSIONS = 60  # at least, days


@dataclasses.dataclass(frozen=True)
class Utterance:
    name: str
    text: str


@dataclasses.dataclass(frozen=True)
class Session:
    """`name` is unique within the talker; `voice` holds each of PARAMETERS."""

    index: int
    name: str
    date: datetime.date
    age: float
    voice: dict[str, float]
    utterances: tuple[Utterance, ...]


@dataclasses.dataclass(frozen=True)
class Talker:
    index: int
    name: str
    group: str
    nationality: str
    accent: str
    gender: str
    birth: datetime.date
    law: ageing.Law
    identity: dict[str, float]
    sessions: tuple[Session, ...]


def build(settings: Settings) -> list[Talker]:
    """All people of the corpus, in the order of their names."""
    talkers: list[Talker] = []
    for split, group in enumerate(GROUPS):
        sentences = texts.draw(settings, split) if group in SPLITS else None
        spans = _draw_spans(settings, split, getattr(settings.numbers, group))
        for place, span in enumerate(spans):
            index = len(talkers) + 1
            talkers.append(_talker(settings, index, group, place, span, sentences))
    return talkers


def _draw_spans(settings: Settings, split: int, count: int) -> list[int]:
    """Days between first and last session of each talker of a group."""
    rng = stream(settings, "spans", split)
    num_long = math.ceil(settings.long_share * count)
    years = [
        rng.uniform(*(settings.long_years if i < num_long else settings.short_years))
        for i in range(count)
    ]
    return [round(years[i] * DAYS_A_YEAR) for i in rng.permutation(count)]


def _talker(settings, index: int, group: str, place: int, span: int, sentences):
    """One talker; the groups are filled cell by cell of accent and gender."""
    gender = "mf"[place % 2]
    nationality, accent = ACCENTS[place // 2 % settings.numbers.accents]
    name = f"t{index:04d}"
    law = ageing.draw(settings, index, gender)
    identity = _draw_identity(settings, index, gender)
    birth, dates = _draw_dates(settings, index, span)
    low, high = settings.numbers.utterances
    counts = stream(settings, "utterances", index).integers(low, high + 1, len(dates))
    sessions = []
    for number, (date, count) in enumerate(zip(dates, counts.tolist(), strict=True), 1):
        age = (date - birth).days / DAYS_A_YEAR
        utterances = tuple(
            Utterance(f"{name}-s{number:02d}-{utt:02d}", next(sentences))
            for utt in range(1, count + 1)
            if sentences is not None
        )
        voice = _session_voice(settings, index, number, identity, law, age)
        sessions.append(Session(number, f"s{number:02d}", date, age, voice, utterances))
    return Talker(
        index, name, group, nationality, accent, gender, birth, law, identity,
        tuple(sessions),
    )  # fmt: skip


def _draw_identity(settings: Settings, index: int, gender: str) -> dict[str, float]:
    """The voice at 20."""
    noise = stream(settings, "identity", index).normal(size=len(PARAMETERS)).tolist()
    identity = {}
    for name, draw in zip(PARAMETERS, noise, strict=True):
        parameter = getattr(settings.voice, name)
        mean = parameter.male if gender == "m" else parameter.female
        identity[name] = mean + settings.identity_spread * parameter.talker * draw
    return identity


def _draw_dates(settings: Settings, index: int, span: int):
    """Return (birth, dates of the sessions); ages do not depend on the dates."""
    rng = stream(settings, "dates", index)
    low, high = settings.numbers.sessions
    count = int(rng.integers(low, high + 1))
    free = span - BETWEEN_SESSIONS * (count - 1)
    inner = sorted(rng.integers(0, free, count - 2, endpoint=True).tolist())
    days = [d + BETWEEN_SESSIONS * i for i, d in enumerate([0, *inner, free])]
    last_start = (LAST_DATE - FIRST_DATE).days - span
    start = FIRST_DATE + datetime.timedelta(int(rng.integers(0, last_start)))
    age = rng.uniform(YOUNGEST, OLDEST - span / DAYS_A_YEAR)
    birth = start - datetime.timedelta(round(age * DAYS_A_YEAR))
    return birth, [start + datetime.timedelta(day) for day in days]


def _session_voice(settings, index: int, number: int, identity, law, age: float):
    """The voice of one session: identity, ageing, and the form of the day."""
    noise = stream(settings, "session", index, number).normal(size=len(PARAMETERS))
    moved = ageing.shift(settings, law, age)
    return {
        name: identity[name]
        + moved[name]
        + settings.session_noise * getattr(settings.voice, name).session * draw
        for name, draw in zip(PARAMETERS, noise.tolist(), strict=True)
    }
