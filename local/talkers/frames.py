"""Who is seen where, when and how: the frames of sessions, and portraits.

A frame shows a talker at the age of the session; the frames of a session share a part
of their view, and now and then one shows somebody else. Portraits show the `face`
people, who do not speak, at ages that are known.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from talkers import faces
from talkers.settings import Settings, stream
from talkers.world import OLDEST, YOUNGEST, Session, Talker


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture of an utterance; `path` is below the folder of all pictures."""

    name: str
    utterance: str
    path: Path


@dataclasses.dataclass(frozen=True)
class Portrait:
    """A picture of a person at an age in years; `path` as of frames."""

    path: Path
    age: float


def of_session(settings: Settings, talker: Talker, session: Session) -> list[Frame]:
    """The frames of a session, which its utterances have in turn."""
    result = []
    for number in range(settings.faces.frames):
        turn, place = divmod(number, len(session.utterances))
        utterance = session.utterances[place].name
        name = f"{utterance}-f{turn + 1}"
        path = Path(talker.name, session.name, f"{name}.jpg")
        result.append(Frame(name, utterance, path))
    return result


def portraits(settings: Settings, talker: Talker) -> list[Portrait]:
    """The portraits of one of the `face` people."""
    ages = stream(settings, "portraits", talker.index).uniform(
        YOUNGEST, OLDEST, settings.numbers.portraits
    )
    return [
        Portrait(Path(talker.name, f"p{number:03d}.jpg"), float(age))
        for number, age in enumerate(ages, 1)
    ]


def draw(settings: Settings, talker: Talker) -> Iterator[tuple[Path, np.ndarray]]:
    """All pictures of a talker: path, and uint8 `(64, 64, 3)`, blue green red."""
    face = stream(settings, "face", talker.index)
    person = faces.draw_person(face, talker.gender)
    if talker.group == "face":
        for number, portrait in enumerate(portraits(settings, talker)):
            home = stream(settings, "portrait view", talker.index, number)
            rng = stream(settings, "portrait", talker.index, number)
            view = faces.draw_view(home, rng)
            yield portrait.path, faces.render(person, portrait.age, view, rng)
        return
    for session in talker.sessions:
        for number, frame in enumerate(of_session(settings, talker, session)):
            home = stream(settings, "view", talker.index, session.index)
            rng = stream(settings, "frame", talker.index, session.index, number)
            view = faces.draw_view(home, rng)
            seen, age = person, session.age
            if rng.random() < settings.faces.stranger_share:
                seen = faces.draw_person(rng, "mf"[rng.integers(2)])
                age = rng.uniform(YOUNGEST, OLDEST)
            yield frame.path, faces.render(seen, age, view, rng)
