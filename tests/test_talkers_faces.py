"""The drawn faces of the talkers: what is seen, and what their ages can be told by."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "local"))

from sklearn.linear_model import RidgeCV  # noqa: E402
from talkers import frames, world  # noqa: E402
from talkers.settings import Settings  # noqa: E402

import train_face_age  # noqa: E402
from chronovox import config  # noqa: E402
from chronovox.faces import ages  # noqa: E402
from chronovox.faces.pictures import jpeg, read_picture  # noqa: E402

CONF = ROOT / "conf/talkers.yaml"


def settings_of(stranger_share=None, **changes) -> Settings:
    settings = dataclasses.replace(config.load(CONF, Settings), **changes)
    if stranger_share is None:
        return settings
    faces = dataclasses.replace(settings.faces, stranger_share=stranger_share)
    return dataclasses.replace(settings, faces=faces)


def people(settings: Settings, group: str) -> list[world.Talker]:
    return [talker for talker in world.build(settings) if talker.group == group]


def test_utterances_have_the_frames_of_a_session_in_turn():
    settings = settings_of(size="small", seed=1)
    for talker in people(settings, "test"):
        for session in talker.sessions:
            shown = frames.of_session(settings, talker, session)
            assert len({frame.name for frame in shown}) == len(shown) == 5
            assert len({frame.path for frame in shown}) == 5
            counts = [
                sum(frame.utterance == utterance.name for frame in shown)
                for utterance in session.utterances
            ]
            assert sum(counts) == 5 and max(counts) - min(counts) <= 1


def test_one_frame_in_thirty_shows_somebody_else():
    worlds = [settings_of(share, size="small", seed=1) for share in (None, 0.0, 1.0)]
    pictures = [
        [
            picture
            for talker in people(s, "train")
            for _, picture in frames.draw(s, talker)
        ]
        for s in worlds
    ]
    usual, own, others = map(np.array, pictures)
    assert usual.shape == (24 * 3 * 5, 64, 64, 3) and usual.dtype == np.uint8
    is_own, is_other = ((usual == faces).all(axis=(1, 2, 3)) for faces in (own, others))
    assert (is_own ^ is_other).all()
    assert 2 <= is_other.sum() <= 24  # 10.8 expected, and three standard deviations


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Portraits of the `face` people, and the frames of the development talkers."""
    folder = tmp_path_factory.mktemp("faces")
    settings = settings_of(seed=1)
    lines, truth = [], []
    for talker in people(settings, "face"):
        for portrait in frames.portraits(settings, talker):
            lines.append(f"{folder / portrait.path} {portrait.age:.3f}\n")
    for talker in people(settings, "dev"):
        for session in talker.sessions:
            for frame in frames.of_session(settings, talker, session):
                truth.append(f"{folder / frame.path} {session.age:.3f}\n")
    for group in ("face", "dev"):
        for talker in people(settings, group):
            for path, picture in frames.draw(settings, talker):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(jpeg(picture))
    (folder / "portraits").write_text("".join(lines))
    (folder / "frames").write_text("".join(truth))
    return folder


def read_list(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures `(N, 64, 64, 3)` and ages `(N,)`."""
    rows = [line.rsplit(" ", 1) for line in path.read_text().splitlines()]
    pictures = np.stack([read_picture(picture) for picture, _ in rows])
    return pictures, np.array([float(age) for _, age in rows])


def error_of_sessions(years: np.ndarray, truth: np.ndarray) -> float:
    """The mean absolute error of the means of five."""
    return np.abs(years.reshape(-1, 5).mean(axis=1) - truth[::5]).mean()


def test_the_network_tells_ages_and_a_linear_probe_does_not(drawn):
    words = [ROOT / "conf/face_age.yaml", drawn / "portraits", drawn / "exp"]
    assert train_face_age.main([*map(str, words), "--device", "cpu"]) == 0
    portraits, known = read_list(drawn / "portraits")
    seen, truth = read_list(drawn / "frames")
    assert len(portraits) == 2000 and len(seen) > 1000
    network = ages.load_network(ages.load_settings(drawn / "exp/config.yaml"))
    years = np.array([e.years for e in ages.estimate(network, list(seen))])
    error = error_of_sessions(years, truth)
    probes = []
    for side in (1, 4, 8, 16):  # of the squares whose mean is taken, pixels

        def means(pictures, side=side):
            shape = (len(pictures), 64 // side, side, 64 // side, side, 3)
            return pictures.reshape(shape).mean(axis=(2, 4)).reshape(len(pictures), -1)

        probe = RidgeCV(np.logspace(-2, 8, 21)).fit(means(portraits), known)
        probes.append(error_of_sessions(probe.predict(means(seen)), truth))
    print(f"network {error:.2f}, linear probes {np.round(probes, 2)}")
    assert error <= 4.0
    assert min(probes) >= error + 2.0
