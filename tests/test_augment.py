"""Changes to samples and features, checked by measurement."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from data_dirs import make_data_dir, make_noise_dir
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from chronovox import augment, config
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.features import FeatureConfig
from chronovox.frontend import AudioTable, FrameTable, FrontendConfig

RATE = 16000
LENGTHS = {f"{spk}-{n}": 24000 + 4000 * n for spk in "abcdef" for n in range(2)}


def white(num_samples, seed=0, level=0.1):
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(num_samples)).astype(np.float32)


def tone(frequency, num_samples=RATE * 2):
    return np.sin(2 * np.pi * frequency / RATE * np.arange(num_samples)).astype("f4")


def strongest(samples):
    """The frequency in Hz of the largest peak of the spectrum."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


@given(st.floats(-10, 40), st.floats(1e-4, 1.0), st.floats(1e-4, 1.0))
def test_the_ratio_of_speech_to_noise_is_the_one_asked_for(snr_db, level, loudness):
    speech, noise = white(8000, 1, level), white(8000, 2, loudness)
    added = augment.add_noise(speech, noise, snr_db).astype(float) - speech
    achieved = 10 * np.log10(np.mean(speech.astype(float) ** 2) / np.mean(added**2))
    assert achieved == pytest.approx(snr_db, abs=0.1)
    assert np.corrcoef(added, noise)[0, 1] > 0.99


def test_noise_that_is_silent_adds_nothing_and_other_lengths_are_refused():
    speech = white(100)
    np.testing.assert_array_equal(augment.add_noise(speech, 0 * speech, 0), speech)
    with pytest.raises(ValueError, match="100 samples, but 99 of noise"):
        augment.add_noise(speech, speech[1:], 0)


def test_noise_is_cut_or_repeated(tmp_path):
    soundfile.write(tmp_path / "r.wav", np.arange(10, dtype=np.int16), RATE)
    (tmp_path / "wav.scp").write_text(f"r {tmp_path}/r.wav\n")
    table, rng = WavTable(tmp_path), np.random.default_rng(0)

    def piece(wanted: int) -> list[int]:
        samples = augment.random_piece(table, "r", wanted, RATE, rng)
        return np.rint(samples * 32768).astype(int).tolist()

    for wanted in (1, 4, 10, 27):
        assert len(numbers := piece(wanted)) == wanted
        assert set(np.diff(numbers)) <= {1, -9}
    assert {piece(4)[0] for _ in range(200)} == set(range(7))


def test_reverberation_is_convolution_without_the_delay():
    speech = white(RATE, 3)
    response = np.zeros(4000)
    response[160:] = np.exp(-np.arange(3840) / 800) * white(3840, 4)
    response[160] = 1.5
    ours = augment.reverberate(speech, response)
    whole = signal.convolve(speech.astype(float), response, method="direct")
    expected = whole[160 : 160 + RATE] / np.sqrt(np.sum(response**2))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    click = np.zeros(100)
    click[30] = -2.0
    np.testing.assert_allclose(augment.reverberate(speech, click), -speech, atol=1e-7)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_speed_moves_the_pitch_and_tempo_keeps_it(factor):
    faster = augment.change_speed(tone(440), factor)
    assert len(faster) == pytest.approx(2 * RATE / factor, abs=2)
    assert strongest(faster) == pytest.approx(440 * factor, abs=1)
    spoken = augment.change_tempo(tone(440), factor, RATE)
    assert len(spoken) == pytest.approx(2 * RATE / factor, rel=0.01)
    assert strongest(spoken) == pytest.approx(440, abs=1)
    assert spoken.dtype == faster.dtype == np.float32
    np.testing.assert_array_equal(spoken, augment.change_tempo(tone(440), factor, RATE))


def test_tempo_moves_the_words():
    clicks = 0.01 * white(RATE * 3)
    for second in (0.5, 1.5, 2.5):
        clicks[int(second * RATE)] = 1
    heard = np.abs(augment.change_tempo(clicks, 1.25, RATE))
    for second in (0.5, 1.5, 2.5):
        place = int(second / 1.25 * RATE)
        assert heard[place - 800 : place + 800].max() > 0.5


def test_volume():
    np.testing.assert_allclose(augment.change_volume(tone(50), 20), 10 * tone(50))


def test_masks_cover_what_they_may_and_hold_the_mean():
    features = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    settings = augment.MaskConfig(time_masks=1, max_frames=9, freq_masks=1, max_bins=5)
    widths = set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        parts = augment.mask_parts(features.shape, settings, rng)
        masked = augment.mask(features, parts)
        rows = np.flatnonzero((masked != features).mean(axis=1) > 0.9)
        columns = np.flatnonzero((masked != features).mean(axis=0) > 0.9)
        widths.add((len(rows), len(columns)))
        for found in (rows, columns):
            assert len(found) == 0 or np.ptp(found) == len(found) - 1
        rest = np.delete(np.delete(masked, rows, 0), columns, 1)
        assert np.isin(rest, features).all()
        mean = np.broadcast_to(features.mean(axis=0), features.shape)
        np.testing.assert_allclose(masked[rows], mean[rows], atol=1e-6)
        np.testing.assert_allclose(masked[:, columns], mean[:, columns], atol=1e-6)
    assert {rows for rows, _ in widths} == set(range(10))
    assert {columns for _, columns in widths} == set(range(6))
    none = augment.mask_parts(features.shape, augment.MaskConfig(), rng)
    plain = augment.mask(features, none)
    np.testing.assert_array_equal(plain, features)


# --- recordings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Noise of six speakers, with fbank and VAD."""
    path = make_noise_dir(tmp_path_factory.mktemp("augment") / "data", LENGTHS)
    for words in (["make_fbank.sh", path], ["compute_vad.sh", "--source", "wav", path]):
        done = subprocess.run(
            [f"steps/{words[0]}", "--nj", "1", *map(str, words[1:])], cwd=ROOT,
            env={**os.environ, "CHRONOVOX_PYTHON": sys.executable},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return path


def table(data, vad=True, **changes):
    features = config.load(data / "conf/features.yaml", FeatureConfig)
    changes = config.from_dict(changes, augment.AugmentConfig, "augment")
    return AudioTable(data, FrontendConfig(vad=vad), features, changes)


def utt2spk(audio: AudioTable) -> dict[str, str]:
    return dict(zip(audio.utts, audio.spks, strict=True))


@pytest.mark.parametrize("vad", [True, False])
def test_without_a_change_pieces_are_those_of_the_features(data, vad):
    audio, feats = table(data, vad), FrameTable(data, FrontendConfig(vad=vad))
    np.testing.assert_array_equal(audio.num_frames, feats.num_frames)
    assert list(audio.utts) == list(feats.utts)
    assert utt2spk(audio) == read_table(data / "utt2spk")
    for row, there in enumerate(feats.num_frames):
        for length in (20, there):
            one, other = (
                source.piece(row, length, np.random.default_rng(length))
                for source in (audio, feats)
            )
            np.testing.assert_allclose(one, other, atol=2e-3)
        longer = audio.piece(row, there + 30, np.random.default_rng(0))
        np.testing.assert_array_equal(longer[:30], longer[there:])


def test_every_speed_makes_other_speakers(data):
    audio = table(data, speeds=[0.9, 1.0, 1.1])
    utts, spks = list(audio.utts), utt2spk(audio)
    assert len(audio.num_frames) == len(utts) == len(spks) == 3 * len(LENGTHS)
    assert spks["sp0.9-a-1"] == "sp0.9-a" and spks["a-1"] == "a"
    assert [audio.utts[row] for row in range(len(utts))] == utts
    lengths = dict(zip(utts, audio.num_frames, strict=True))
    plain = FrameTable(data, FrontendConfig())
    for utt, there in zip(plain.utts, plain.num_frames, strict=True):
        assert lengths[utt] == there
        assert lengths[f"sp0.9-{utt}"] == int(there / 0.9)
        assert lengths[f"sp1.1-{utt}"] == int(there / 1.1)
    piece = audio.piece(utts.index("sp1.1-b-0"), 40, np.random.default_rng(1))
    assert piece.shape == (40, 80) and np.isfinite(piece).all()
    with pytest.raises(UserError, match="speeds are from 0.5 to 2, and 1 is one"):
        table(data, speeds=[0.9])


def test_a_tone_at_another_speed_is_seen_in_another_bin(tmp_path, data):
    """440 Hz at speed 1.25 is 550 Hz, and at tempo 1.25 stays 440 Hz."""
    folder = tmp_path / "tones"
    for name, frequency in (("t-1", 440), ("t-2", 550)):
        path = folder / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.3 * tone(frequency) + white(2 * RATE, 5, 1e-3), RATE)
    made = make_data_dir(
        folder / "data", {n: str(folder / f"{n}.wav") for n in ("t-1", "t-2")}
    )
    (made / "utt2num_frames").write_text("t-1 200\nt-2 200\n")
    (made / "conf").mkdir()
    (made / "conf/features.yaml").write_text((data / "conf/features.yaml").read_text())

    def peak(utt, **changes):
        audio = table(made, vad=False, **changes)
        audio._config = FrontendConfig(cmn="none")
        piece = audio.piece(list(audio.utts).index(utt), 100, np.random.default_rng(0))
        return piece.mean(axis=0).argmax()

    assert peak("sp1.25-t-1", speeds=[1.0, 1.25]) == peak("t-2") != peak("t-1")
    assert peak("t-1", tempo=[1.25, 1.25]) == peak("t-1")


def test_pieces_are_pure_functions_and_all_kinds_are_drawn(data, tmp_path):
    noises = make_noise_dir(tmp_path / "noise", {"n-1": 3000, "n-2": 90000})
    responses = make_noise_dir(tmp_path / "rir", {"r-1": 2000})
    settings = {
        "prob": 0.9,
        "noises": {"noise": {"data": str(noises), "snr_db": [0, 5]}},
        "babble": {"num_speakers": [2, 3]},
        "reverb": {"data": str(responses)},
        "tempo": [0.9, 1.1],
        "volume_db": [-6, 6],
    }
    audio, again = table(data, **settings), table(data, **settings)
    assert audio._changes.kinds == ["noise", "babble", "reverb"]
    first = audio.piece(0, 50, np.random.default_rng(7))
    for seed in range(20):
        audio.piece(list(audio.utts).index("c-1"), 50, np.random.default_rng(seed))
    np.testing.assert_array_equal(again.piece(0, 50, np.random.default_rng(7)), first)
    assert not np.allclose(audio.piece(0, 50, np.random.default_rng(8)), first)
    assert audio.digest([0]) == again.digest([0]) != audio.digest([1])
    assert table(data).digest([0]) != audio.digest([0])


def test_babble_is_of_other_speakers_at_the_ratio_asked_for(data):
    settings = {"prob": 1.0, "babble": {"num_speakers": [3, 3], "snr_db": [12, 12]}}
    changes = config.from_dict(settings, augment.AugmentConfig, "augment")
    wavs, utt2spk = WavTable(data), read_table(data / "utt2spk")
    read = []

    class Spy:
        utts = wavs.utts

        def length(self, utt):
            return wavs.length(utt)

        def read(self, utt, rate, part=slice(None)):
            read.append(utt2spk[utt])
            return wavs.read(utt, rate, part)

    apply = augment.Augmenter(changes, RATE, Spy(), utt2spk)
    speech = white(RATE, 9)
    for seed in range(20):
        read.clear()
        added = apply(speech, "b", np.random.default_rng(seed)).astype(float) - speech
        achieved = 10 * np.log10(np.mean(speech.astype(float) ** 2) / np.mean(added**2))
        assert achieved == pytest.approx(12, abs=0.1)
        assert len(set(read)) == 3 and "b" not in read


def test_babble_of_a_directory_of_its_own(data, tmp_path):
    """Each of its speakers counts as one, and those of the training data do not."""
    voices = {f"v{n}-{part}": 20000 for n in range(4) for part in range(3)}
    folder = make_noise_dir(tmp_path / "voices", voices)
    settings = {"num_speakers": [2, 4], "snr_db": [12, 12], "data": str(folder)}
    changes = config.from_dict(
        {"prob": 1.0, "babble": settings}, augment.AugmentConfig, "augment"
    )
    wavs, utt2spk = WavTable(data), read_table(data / "utt2spk")
    apply = augment.Augmenter(changes, RATE, wavs, utt2spk)
    read, plain = [], apply._speech.read
    apply._speech.read = lambda utt, *more: (read.append(utt), plain(utt, *more))[1]
    speech, counts = white(RATE, 9), set()
    for seed in range(30):
        read.clear()
        added = apply(speech, "b", np.random.default_rng(seed)).astype(float) - speech
        achieved = 10 * np.log10(np.mean(speech.astype(float) ** 2) / np.mean(added**2))
        assert achieved == pytest.approx(12, abs=0.1)
        assert len({utt.split("-")[0] for utt in read}) == len(read)
        assert set(read) <= voices.keys()
        counts.add(len(read))
    assert counts == {2, 3, 4}
    training_alone = config.from_dict(
        {"prob": 1.0, "babble": {"num_speakers": [2, 4]}}, augment.AugmentConfig, "x"
    )
    other = augment.Augmenter(training_alone, RATE, wavs, utt2spk)
    assert apply.digest() != other.digest()
    settings["num_speakers"] = [2, 5]
    with pytest.raises(UserError, match="4 speakers, num_speakers asks for 5"):
        table(data, prob=1.0, babble=settings)
    (folder / "utt2spk").write_text("v0-0 v0\n")
    with pytest.raises(UserError, match="utt2spk: no line for 'v0-1': run utils/fix"):
        table(data, prob=1.0, babble=settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prob": 0.5}, "prob is above 0: name noises, babble or reverb"),
        ({"prob": 1.5}, "prob is from 0 to 1"),
        ({"reverb": {"data": "x"}}, "prob is 0: no piece would get reverb: set prob"),
        ({"tempo": [1.1, 0.9]}, r"tempo is \[1.1, 0.9\], expected \[lowest, highest\]"),
        ({"speeds": [1.0, 1.0]}, "a speed stands twice"),
        (
            {"noises": {"x": {"data": "none"}}, "prob": 1.0},
            "none/wav.scp: no such file",
        ),
        ({"noises": {"reverb": {"data": "x"}}}, "have keys of their own, not in noi"),
        ({"noises": {"x": {"snr": [1, 2]}}}, "noises.x: unknown key 'snr'"),
        (
            {"prob": 1.0, "babble": {"num_speakers": [3, 6]}},
            "babble: 6 speakers, num_speakers asks",
        ),
        ({"babble": {"num_speakers": [0, 6]}}, r"num_speakers is \[0, 6\], exp"),
    ],
)
def test_wrong_settings_are_named(data, settings, message):
    with pytest.raises(UserError, match=message):
        table(data, **settings)


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize(("length", "shift"), [(25, 10), (25, 5), (50, 10), (50, 5)])
def test_a_piece_is_a_slice_of_the_whole(tmp_path, snip_edges, length, shift):
    data = make_noise_dir(tmp_path / "data", {"a-0": 30000, "b-0": 20000})
    (data / "utt2dur").write_text("a-0 1.875\nb-0 1.25\n")
    features = FeatureConfig(
        type="fbank", snip_edges=snip_edges, frame_length_ms=length,
        frame_shift_ms=shift,
    )  # fmt: skip
    audio = AudioTable(
        data, FrontendConfig(cmn="none", vad=False), features, augment.AugmentConfig()
    )
    there = int(audio.num_frames[0])
    whole = audio.piece(0, there, np.random.default_rng(0))
    for seed in range(10):
        rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
        piece = audio.piece(0, 60, rng)
        first = int(same.integers(there - 60 + 1))
        np.testing.assert_allclose(piece, whole[first : first + 60], atol=2e-3)


def test_a_piece_at_another_tempo_or_speed_is_not_wrapped(data, monkeypatch):
    monkeypatch.setattr("chronovox.frontend.repeat", None)  # not to be called
    audio = table(data, vad=False, speeds=[0.9, 1.0, 1.1], tempo=[0.9, 1.1])
    for seed in range(40):
        for row, there in enumerate(audio.num_frames):
            if there > 80:
                rng = np.random.default_rng(seed)
                assert audio.piece(row, 50, rng).shape == (50, 80)


def test_tables_that_do_not_agree_are_named(tmp_path):
    folder = make_noise_dir(tmp_path / "data", {"a-0": 30000, "b-0": 20000})
    features = FeatureConfig(type="fbank")

    def make(**changes):
        changes = config.from_dict(changes, augment.AugmentConfig, "augment")
        return AudioTable(folder, FrontendConfig(vad=False), features, changes)

    (folder / "utt2dur").write_text("a-0 1.875\n")  # b-0 was dropped
    assert list(make(speeds=[1.0]).utts) == ["a-0"]
    (folder / "utt2dur").write_text("a-0 20\nb-0 1.25\n")
    with pytest.raises(UserError, match=r"a-0: .*(no samples|ends .* s before)"):
        for seed in range(9):
            make().piece(0, 100, np.random.default_rng(seed))
    (folder / "utt2dur").write_text("a-0 1.875\nb-0 1.25\nc-0 1\n")
    (folder / "utt2spk").write_text("a-0 a\nb-0 b\nc-0 c\n")
    with pytest.raises(UserError, match=r"wav.scp: no line for 1 of 3 utterances"):
        make()
    (folder / "utt2dur").write_text("a-0 1.875\nsp0.9-a-0 1.25\n")
    (folder / "utt2spk").write_text("a-0 a\nsp0.9-a-0 b\n")
    wavs = (folder / "wav.scp").read_text().replace("b-0 ", "sp0.9-a-0 ")
    (folder / "wav.scp").write_text(wavs)
    with pytest.raises(UserError, match="'sp0.9-a-0' is there already"):
        make(speeds=[0.9, 1.0])


def test_other_noises_under_the_same_names_make_another_training(data, tmp_path):
    settings = {
        "prob": 1.0, "noises": {"n": {"data": str(tmp_path / "noise")}},
    }  # fmt: skip
    digests = set()
    for length in (3000, 4000):
        make_noise_dir(tmp_path / "noise", {"n-1": length})
        digests.add(table(data, **settings).digest([0]))
    assert len(digests) == 2
    missing = {"prob": 1.0, "reverb": {"data": "none"}}
    with pytest.raises(UserError, match=r"augment: reverb: none/wav.scp.*take reverb"):
        table(data, **missing)
