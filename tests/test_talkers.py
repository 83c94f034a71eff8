"""The talkers corpus: same bytes always, disjoint texts, a truth that holds."""

import dataclasses
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kaldi_native_fbank as knf
import lhotse
import numpy as np
import pytest
import soundfile
from conftest import ROOT

from chronovox import cli, config, datadir
from chronovox.trials import pool
from chronovox.trials.allowance import Allowance
from chronovox.trials.rules import read_rules
from chronovox.trials.selection import select

sys.path.insert(0, str(ROOT / "local"))

import speak_talkers  # noqa: E402
from talkers import ageing, espeak, sound, texts, world  # noqa: E402
from talkers.settings import PARAMETERS, Settings, describe, stream  # noqa: E402

CONF = ROOT / "conf" / "talkers.yaml"
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(ROOT / "steps"), "OMP_NUM_THREADS": "1"
}  # fmt: skip


def settings_of(**changes) -> Settings:
    return dataclasses.replace(config.load(CONF, Settings), **changes)


LITTLE_WORDS = "the a an in on at of for before under near behind over through"
SMALL = settings_of(size="small")


def start(script: str, *words) -> subprocess.Popen:
    """Start a script of local/."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "local" / script), *map(str, words)],
        env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def plan(folder: Path, *options) -> Path:
    """Plan a small world; returns the data folder."""
    data = folder / "data"
    finish(
        start(
            "plan_talkers.py", "--size", "small", *options, CONF, data, folder / "truth"
        )
    )
    return data


def split(names_path: Path, num_jobs: int) -> None:
    """Split a list of names over jobs: `<list>.0` and so on."""
    names = datadir.read_lines(names_path)
    for job in range(num_jobs):
        part = names[job * len(names) // num_jobs : (job + 1) * len(names) // num_jobs]
        Path(f"{names_path}.{job}").write_text("".join(f"{n}\n" for n in part))


def start_drawing(data: Path, num_jobs: int) -> list[subprocess.Popen]:
    """Start the drawing of everybody, split over jobs."""
    local = data / "local"
    split(local / "people", num_jobs)
    return [
        start("draw_faces.py", local / "talkers.yaml", local / f"people.{job}",
              data / "pictures")
        for job in range(num_jobs)
    ]  # fmt: skip


def start_jobs(data: Path, num_jobs: int) -> list[subprocess.Popen]:
    """Start the synthesis of everybody, split over jobs."""
    local = data / "local"
    split(local / "talkers", num_jobs)
    return [
        start("speak_talkers.py", local / "talkers.yaml", local / f"talkers.{job}",
              data / "audio", local / f"utterances.{job}")
        for job in range(num_jobs)
    ]  # fmt: skip


def prepare(folder: Path, num_jobs: int, *options) -> Path:
    """What local/prepare_data.sh does; returns the data folder."""
    data = plan(folder, *options)
    for start_part in (start_jobs, start_drawing):
        for process in start_part(data, num_jobs):
            finish(process)
    make_data_dirs(data, num_jobs)
    return data


def make_data_dirs(data: Path, num_jobs: int) -> str:
    local = data / "local"
    lists = [local / f"utterances.{job}" for job in range(num_jobs)]
    return finish(
        start("make_data_dirs.py", local / "talkers.yaml", data / "audio",
              data / "pictures", data, *lists)
    )  # fmt: skip


def digests(data: Path) -> dict[str, str]:
    """SHA-256 of what stage 0 leaves, by content where packed; paths made alike."""
    found = {}
    for path in sorted(data.rglob("*")):
        name = str(path.relative_to(data))
        if path.is_file() and not name.startswith("local"):
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            content = content.replace(os.fsencode(data), b"DATA")
            found[name] = hashlib.sha256(content).hexdigest()
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The small corpus, made by one job."""
    return prepare(tmp_path_factory.mktemp("small"), 1)


def test_same_bytes_with_four_jobs_after_kill(small, tmp_path):
    data = plan(tmp_path)
    jobs = start_jobs(data, 4)
    deadline = time.monotonic() + 60
    while len(list(data.glob("audio/*/*/*.wav"))) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for job in jobs:
        os.kill(job.pid, signal.SIGKILL)
        job.communicate()
    half = data / "audio" / "t0002" / "s01" / ".t0002-s01-01.wav.tmp"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"RIFF")  # what a kill in the middle of a file leaves
    assert len(list(data.glob("audio/*/*/*.wav"))) < len(wav_paths(small))
    jobs = start_drawing(data, 4)
    while len(list(data.glob("pictures/*/*/*.jpg"))) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for job in jobs:
        os.kill(job.pid, signal.SIGKILL)
        job.communicate()
    assert len(list(data.glob("pictures/*/*/*.jpg"))) < 5 * 3 * 56
    prepare(tmp_path, 4)
    assert digests(data) == digests(small)


def wav_paths(data: Path) -> list[str]:
    return [
        path
        for name in world.SPLITS
        for path in datadir.read_table(data / name / "wav.scp", None).values()
    ]


def test_another_seed_gives_another_corpus_in_the_same_place(small, tmp_path):
    for name in ("audio", "pictures"):
        (tmp_path / "data" / name / "t0999").mkdir(parents=True)
    data = plan(tmp_path, "--seed", "2", "--ageing", "0.5", "--world", "channel_dated")
    assert not (data / "audio" / "t0999").exists()
    assert not (data / "pictures" / "t0999").exists()
    made = config.load(data / "local" / "talkers.yaml", Settings)
    assert (made.seed, made.ageing, made.world) == (2, 0.5, "channel_dated")
    (first, *_) = world.build(made)
    assert first.identity != world.build(SMALL)[0].identity


def test_tables_agree_with_manifests_and_hold_no_age(small):
    for name in world.SPLITS:
        data = small / name
        recordings, supervisions = (
            lhotse.load_manifest(data / f"{kind}.jsonl.gz")
            for kind in ("recordings", "supervisions")
        )
        lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions)
        session = datadir.read_table(data / "utt2session")
        spk = datadir.read_table(data / "utt2spk")
        dates = datadir.read_session2date(data / "session2date")
        gender = datadir.read_table(data / "spk2gender")
        nationality = datadir.read_table(data / "spk2nationality")
        duration = datadir.read_floats(data / "utt2dur")
        wav = datadir.read_table(data / "wav.scp", None)
        assert len(supervisions) == len(wav) == len(duration)
        assert set(gender) == set(nationality) == set(spk.values())
        for item in supervisions:
            assert item.speaker == spk[item.id]
            assert item.custom == {
                "session": session[item.id],
                "nationality": nationality[item.speaker],
                "date": dates[item.speaker, session[item.id]],
            }
            assert item.gender == gender[item.speaker]
            assert recordings[item.id].sources[0].source == wav[item.id]
            assert abs(item.duration - duration[item.id]) < 1e-3
        assert not any(data.glob("*age"))
        assert "age" not in json.loads((data / "corpus.json").read_text())
    assert not any((small / "audio").rglob(".*"))


def test_recordings_are_speech_in_silence_not_clipped(small):
    durations = []
    for path in wav_paths(small)[::7]:
        samples, rate = soundfile.read(path)
        info = soundfile.info(path)
        assert (rate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 0.03 < np.abs(samples).max() <= 0.991
        durations.append(len(samples) / rate)
        edges = np.concatenate([samples[:2400], samples[-1600:]])
        middle = samples[8000:-8000]
        assert np.std(edges) < np.std(middle) / 2
    assert 2.5 < np.mean(durations) < 4.5
    assert min(durations) > 1.5 and max(durations) < 7


def test_truth_lies_aside(small):
    truth = small.parent / "truth"
    ages = datadir.read_floats(truth / "utt2age")
    assert len(ages) == len(wav_paths(small))
    talkers = world.build(SMALL)
    session = talkers[0].sessions[1]
    assert abs(ages[session.utterances[0].name] - session.age) < 1e-3
    assert (truth / "sessions.tsv").read_text().startswith("talker\tsession\tdate\tage")
    assert config.load(truth / "settings.yaml", Settings) == SMALL


@pytest.mark.parametrize("seed", [1, 2, 7])
@pytest.mark.parametrize("size", ["small", "default", "large"])
def test_world_has_the_promised_people(seed, size):
    settings = settings_of(size=size, seed=seed)
    talkers = world.build(settings)
    test = [talker for talker in talkers if talker.group == "test"]
    cells: dict[tuple[str, str], int] = {}
    for talker in test:
        cell = (talker.nationality, talker.gender)
        cells[cell] = cells.get(cell, 0) + 1
    spans = np.array([t.sessions[-1].age - t.sessions[0].age for t in test])
    assert np.mean(spans > 22) >= 0.6
    if size == "small":
        assert len(cells) == 4 and min(cells.values()) >= 5
    else:
        assert len(cells) == 12 and min(cells.values()) >= 10
    numbers = settings.numbers
    assert len(talkers) == numbers.train + numbers.dev + numbers.test + numbers.face
    for talker in talkers:
        low, high = numbers.sessions
        assert low <= len(talker.sessions) <= high
        dates = [session.date for session in talker.sessions]
        assert dates == sorted(set(dates))
        assert dates[0] >= world.FIRST_DATE and dates[-1] <= world.LAST_DATE
        assert talker.sessions[0].age > 17.9 and talker.sessions[-1].age < 80.1
        assert talker.group != "face" or not any(s.utterances for s in talker.sessions)


@pytest.mark.parametrize("seed", [1, 11, 12])
def test_every_list_has_forty_enrolment_speakers(seed):
    """Of the default size, with true ages."""
    rows = sorted(
        (utterance.name, talker.name, session.name, session.age, talker)
        for talker in world.build(settings_of(seed=seed))
        if talker.group == "test"
        for session in talker.sessions
        for utterance in session.utterances
    )
    utts, spk, session, age, talkers = map(list, zip(*rows, strict=True))
    traits = {
        name: pool.codes(getattr(talker, name) for talker in talkers)
        for name in ("gender", "nationality")
    }
    everybody = pool.Pool(
        utts, pool.codes(spk), pool.codes(zip(spk, session, strict=True)), traits,
        np.array(age), np.full(len(utts), np.nan),
    )  # fmt: skip
    utt2spk = dict(zip(utts, spk, strict=True))
    for path in sorted((ROOT / "conf/trials").glob("*.yaml")):
        rules, base = read_rules(path)
        base = base and Allowance(everybody, base)
        trials, _ = select(Allowance(everybody, rules), 1, base)
        assert len({utt2spk[utt] for utt in trials.enrol}) >= 40, path
        assert trials.is_target.sum() >= 500, path


@pytest.mark.parametrize("size", ["default", "large"])
def test_no_text_is_shared(size):
    spoken: dict[str, list[str]] = {}
    for talker in world.build(settings_of(size=size, seed=3)):
        for session in talker.sessions:
            said = [utterance.text for utterance in session.utterances]
            spoken.setdefault(talker.group, []).extend(said)
    everything = [text for group in spoken.values() for text in group]
    assert len(everything) == len({text.lower() for text in everything})
    shared = set(" ".join((*texts.OPENINGS, *texts.NUMBERS)).split())
    own = [
        {word for text in spoken[name] for word in text.lower().split()} - shared
        for name in world.SPLITS
    ]
    little = set(
        ["the", "a", "an", "in", "on", "at", "of", "for", "before", "under", "near"]
    )
    for one in range(3):
        for other in range(one):
            assert own[one] & own[other] <= little


def test_sentences_are_a_bijection():
    total = np.prod([len(choices) for choices in texts.parts(1)])
    numbers = range(0, int(total), 997)
    assert len({texts.sentence(1, number) for number in numbers}) == len(numbers)


def test_dose_zero_has_no_ageing_and_dose_one_has():
    null, one, two = (
        world.build(settings_of(size="small", ageing=dose)) for dose in (0.0, 1.0, 2.0)
    )
    moved = 0
    for still, aged, twice in zip(null, one, two, strict=True):
        for a, b, c in zip(still.sessions, aged.sessions, twice.sessions, strict=True):
            law, rng = still.law, stream(SMALL, "session", still.index, a.index)
            noise = rng.normal(size=len(PARAMETERS))
            for name, draw in zip(PARAMETERS, noise, strict=True):
                sd = getattr(SMALL.voice, name).session
                assert a.voice[name] == pytest.approx(still.identity[name] + sd * draw)
                shift = b.voice[name] - a.voice[name]
                assert c.voice[name] - a.voice[name] == pytest.approx(2 * shift)
            assert (b.voice == a.voice) == (law.ageless or a.age <= 20)
            moved += not law.ageless
    assert moved > 0.6 * sum(len(t.sessions) for t in null)


def test_own_and_shared_ageing_are_equally_large():
    settings = settings_of(ageless_share=0.0)
    for gender in "mf":
        changes = []
        for index in range(1, 1500):
            law = ageing.draw(settings, index, gender)
            old, young = (ageing.shift(settings, law, age) for age in (80.0, 20.0))
            assert not any(young.values())
            changes.append([old[name] for name in PARAMETERS])
        sizes = [getattr(settings.voice, name).ageing for name in PARAMETERS]
        changes = np.array(changes) / sizes
        assert np.allclose(np.abs(changes.mean(0)), 1, atol=0.12)
        assert np.allclose(changes.var(0), 1, atol=0.15)


def test_channel_dated_world_ages_no_voice_and_dates_the_channels():
    dated = settings_of(world="channel_dated", ageing=2.0)
    null = settings_of(ageing=0.0)
    for one, other in zip(world.build(dated), world.build(null), strict=True):
        assert [s.voice for s in one.sessions] == [s.voice for s in other.sessions]
    assert np.all(np.abs(recording_correlations(dated)["date"]) > 0.5)
    for values in recording_correlations(null).values():
        assert np.all(np.abs(values) < 0.15)


def recording_correlations(settings: Settings) -> dict[str, list[float]]:
    """Correlations of noise level, response and noise colour with what they ignore.

    `talker` is the correlation between the first two sessions of each talker.
    """
    drawn, dates, ages, first = [], [], [], []
    for talker in world.build(settings):
        first.append(len(drawn))
        for session in talker.sessions:
            made = sound.recording(settings, talker, session)
            response = np.abs(np.fft.rfft(made.impulse_response, 8192))
            tilt = np.log(response[2800:3200].mean() / response[1200:1400].mean())
            colour = made.noise_db[-1] - made.noise_db[0]
            row = [made.snr_db, tilt]
            drawn.append(row if settings.world == "channel_dated" else [*row, colour])
            dates.append(session.date.toordinal())
            ages.append(session.age)
    columns, first = np.array(drawn).T, np.array(first)
    return {
        "date": [np.corrcoef(column, dates)[0, 1] for column in columns],
        "age": [np.corrcoef(column, ages)[0, 1] for column in columns],
        "talker": [
            np.corrcoef(column[first], column[first + 1])[0, 1] for column in columns
        ],
    }


def equal_error_rate(target: np.ndarray, nontarget: np.ndarray) -> float:
    """In percent, by counting at every threshold."""
    scores = np.concatenate([target, nontarget])
    labels = np.concatenate([np.ones(len(target)), np.zeros(len(nontarget))])
    labels = labels[np.argsort(scores)]
    miss = np.cumsum(labels) / len(target)
    false_alarm = 1 - np.cumsum(1 - labels) / len(nontarget)
    nearest = np.argmin(np.abs(miss - false_alarm))
    return 50 * (miss[nearest] + false_alarm[nearest])


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_alone_verifies_at_chance(seed):
    settings = settings_of(seed=seed)
    names, vectors = [], []
    for talker in world.build(settings):
        for session in talker.sessions:
            made = sound.recording(settings, talker, session)
            noise = sound.added_noise(settings, talker, session, 1, made, 16000)
            power = np.abs(np.fft.rfft(noise.reshape(-1, 400), axis=1)) ** 2
            names.append(talker.index)
            vectors.append(np.log(power.mean(0).reshape(67, 3).mean(1)))
    vectors, names = np.array(vectors), np.array(names)
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    above = np.triu(np.ones((len(names), len(names)), bool), 1)
    same = names[:, None] == names[None]
    scores = vectors @ vectors.T
    assert 47 < equal_error_rate(scores[same & above], scores[~same & above]) < 53


def mean_spectrum(path: str) -> np.ndarray:
    """Mean log-mel spectrum (40,) of the louder frames."""
    options = knf.FbankOptions()
    options.mel_opts.num_bins = 40
    options.frame_opts.dither = 0
    fbank = knf.OnlineFbank(options)
    samples, rate = soundfile.read(path, dtype="float32")
    fbank.accept_waveform(rate, (samples * 32768).tolist())
    fbank.input_finished()
    count = fbank.num_frames_ready
    frames = np.stack([fbank.get_frame(i) for i in range(count)])
    loud = frames.mean(1) > frames.mean()
    return frames[loud].mean(0)


def test_voices_differ_more_between_talkers_than_between_sessions(small):
    spk = datadir.read_table(small / "train" / "utt2spk")
    wav = datadir.read_table(small / "train" / "wav.scp", None)
    vectors = np.array([mean_spectrum(path) for path in wav.values()])
    vectors -= vectors.mean(1, keepdims=True)
    names = np.array([spk[utt] for utt in wav])
    means = np.array([vectors[names == name].mean(0) for name in sorted(set(names))])
    within = np.mean([vectors[names == name].var(0).sum() for name in set(names)])
    assert means.var(0).sum() > within / 2


@pytest.fixture
def spoken(tmp_path):
    """A function that speaks in a fresh process: the library starts once in each."""
    with espeak.linked_data(tmp_path / "espeak") as data:

        def speak(*calls) -> list[np.ndarray]:
            code = (
                "import sys, numpy as np; from talkers import espeak\n"
                f"speaker = espeak.Synthesizer({data.name!r}, 1); out = []\n"
                + "".join(f"{call}\n" for call in calls)
                + f"np.savez({str(tmp_path / 'out.npz')!r}, *out)\n"
            )
            where = {"PYTHONPATH": f"{ROOT}/steps:{ROOT}/local"}
            subprocess.run(
                [sys.executable, "-c", code], env={**ENVIRONMENT, **where},
                cwd=data.parent, check=True, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            return list(np.load(tmp_path / "out.npz").values())

        speak.data = data
        yield speak


def call(pitch: int, name: str = "v1", accent: str = "en-us") -> str:
    """Python code that speaks with one variant."""
    text = f"language variant\\nname {name}\\npitch {pitch} {pitch}\\n"
    return (
        f'speaker.set_voice("{accent}", "{name}", "{text}"); '
        'out.append(speaker.speak("The quiet farmer found two lamps", 170))'
    )


def fundamental_hz(samples: np.ndarray) -> float:
    """Of the strongest 0.1 s, from its autocorrelation."""
    frames = samples[: len(samples) // 2205 * 2205].reshape(-1, 2205).astype(float)
    frame = frames[np.argmax(frames.var(1))]
    correlation = np.correlate(frame, frame, "full")[2204:]
    low, high = 22050 // 300, 22050 // 60
    return 22050 / (low + np.argmax(correlation[low:high]))


def test_the_variant_is_what_speaks(spoken):
    low, high = spoken(call(90), call(180))
    assert fundamental_hz(low) == pytest.approx(90, rel=0.1)
    assert fundamental_hz(high) == pytest.approx(180, rel=0.1)
    assert not any((spoken.data / "voices" / "!v").iterdir())


def test_a_fresh_process_repeats_the_same_calls_at_another_time(spoken):
    first = spoken(call(90), call(120))
    time.sleep(1.1)  # the library would take its seed from the clock, in seconds
    again = spoken(call(90), call(120))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    "broken, message",
    [
        ('speaker.set_voice("xx", "v1", "language variant\\n")', "xx+v1"),
        ('speaker.speak("", 170)', "did not speak"),
        (
            "import pathlib; pathlib.Path.write_text = lambda *a, **k: None; "
            "pathlib.Path.unlink = lambda *a: None; "
            'speaker.set_voice("en-us", "nosuch", "")',
            "did not load the voice en-us+nosuch",
        ),
    ],
)
def test_a_failure_of_the_library_is_an_error(spoken, broken, message):
    with pytest.raises(subprocess.CalledProcessError) as error:
        spoken(call(90), broken)
    assert message in error.value.stderr


def test_stock_voices_are_left_out_and_leftovers_removed(tmp_path):
    (tmp_path / "here" / "espeak-ng-data").mkdir(parents=True)  # of a killed process
    with espeak.linked_data(tmp_path / "here") as data:
        assert not any((data / "voices" / "!v").iterdir())
        assert len([path for path in data.rglob("*") if path.is_file()]) < 30
    assert not any(tmp_path.iterdir())


def test_a_long_path_is_refused_before_the_library_ends_the_process(tmp_path):
    with pytest.raises(cli.UserError, match="path too long"):
        espeak.Synthesizer(tmp_path / ("d" * 150), 1)


def test_works_in_a_deep_directory_and_cleans_up(tmp_path):
    data = plan(tmp_path / ("deep" * 40) / ("deeper" * 30))
    (data / "local" / "talkers").write_text("t0003\n")
    (process,) = start_jobs(data, 1)
    finish(process)
    assert len(list(data.glob("audio/t0003/*/*.wav"))) >= 6
    assert not list(data.glob("local/*espeak*"))


def test_a_process_that_dies_is_an_error_that_names_the_talker(monkeypatch):
    monkeypatch.setattr(speak_talkers, "speak_talker", lambda *_: os._exit(3))
    talker = world.build(SMALL)[4]
    with pytest.raises(cli.UserError, match=r"t0005: the process died \(exit code 3\)"):
        speak_talkers.in_own_process(SMALL, talker, Path(), Path())


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    data = plan(tmp_path)
    (data / "audio").mkdir()
    (data / "audio" / "t0001").write_text("in the way")
    (process,) = start_jobs(data, 1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "t0001" in errors and "Traceback" not in errors


def test_a_missing_recording_is_an_error(small, tmp_path):
    (tmp_path / "data" / "local").mkdir(parents=True)
    for name in ("talkers.yaml", "utterances.0"):
        content = (small / "local" / name).read_bytes()
        (tmp_path / "data" / "local" / name).write_bytes(content)
    with pytest.raises(AssertionError, match="was not made: run stage 0 again"):
        make_data_dirs(tmp_path / "data", 1)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("ageing: 1.0 ", "agein: 1.0 ", "unknown key 'agein'"),
        ("ageing: 1.0 ", "ageing: -1.0 ", "ageing must be 0 or more"),
        ("size: default", "size: huge", "'huge' is not one of small, default"),
        ("world: ageing", "world: mars", "is not one of ageing, channel_dated"),
        ("snr_db: [12.0, 30.0]", "snr_db: [30.0, 12.0]", "snr_db must be"),
        ("accents: 2", "accents: 7", "accents must be 1 to 6"),
        ("portraits: 20", "portraits: 0", "portraits must be 1 to 999"),
        ("frames: 5", "frames: 0", "frames must be 1 to 99"),
        ("talker: 4.0", "talker: -4.0", "must be 0 or more"),
    ],
)
def test_wrong_settings_are_errors(tmp_path, old, new, message):
    text = CONF.read_text()
    assert old in text
    (tmp_path / "talkers.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(cli.UserError, match=message) as error:
        config.load(tmp_path / "talkers.yaml", Settings)
    assert "talkers.yaml" in str(error.value)


def test_wrong_option_is_an_error(tmp_path):
    process = start(
        "plan_talkers.py", "--size", "tiny", CONF, tmp_path / "d", tmp_path / "t"
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "size 'tiny' is not one of small, default, large" in errors


def test_the_hash_names_generator_and_settings_but_not_the_run():
    plain = describe(SMALL)
    assert plain["hash"] == describe(settings_of(seed=9, ageing=0.0))["hash"]
    assert plain["hash"] != describe(settings_of(channel_db=3.0))["hash"]
    assert (plain["name"], plain["size"], plain["seed"]) == ("talkers", "small", 11)
