"""egs/voxceleb: noises and rooms as they are published, and as people have them."""

import os
import shutil

import numpy as np
import pytest
import soundfile
import yaml
from data_dirs import make_data_dir, noise
from recipe_tools import ROOT, digests, run
from test_audio import save

from chronovox import config, datadir_check
from chronovox.audio import WavTable
from chronovox.augment import AugmentConfig
from chronovox.datadir import read_floats, read_table, write_table
from chronovox.features import FeatureConfig
from chronovox.frontend import AudioTable, FrontendConfig

RECIPE = ROOT / "egs/voxceleb"
RATE = 16000


def prepare(name, *words, code=0):
    return run(RECIPE, f"local/prepare_{name}.py", *map(str, words), code=code).stdout


def wav(path, num_samples=RATE, rate=RATE, channels=1, seed=0):
    """Write noise that starts and ends loud, into folders made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, num_samples])
    soundfile.write(path, 0.1 * rng.standard_normal((num_samples, channels)), rate)
    return path


def assert_valid(data_dir):
    assert datadir_check.find_problems(data_dir, no_feats=True, no_text=True) == []
    table = WavTable(data_dir)
    dur_s = read_floats(data_dir / "utt2dur")
    assert list(dur_s) == list(table)
    for utt in table:
        assert dur_s[utt] == round(len(table.read(utt, RATE)[0]) / RATE, 6)
    return table


def dropped(data_dir) -> dict[str, str]:
    lines = (data_dir / "log/dropped").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


# --- MUSAN


@pytest.fixture
def musan(tmp_path):
    """MUSAN as published, in small."""
    root = tmp_path / "musan"
    for n, seconds in enumerate((3, 10, 19.5, 47.00005)):
        path = root / f"noise/free-sound/noise-free-sound-{n:04d}.wav"
        wav(path, int(seconds * RATE))
    wav(root / "noise/sound-bible/noise-sound-bible-0000.wav")
    wav(root / "music/fma/music-fma-0000.wav")
    for n in range(9):
        wav(root / f"speech/librivox/speech-librivox-{n:04d}.wav", RATE * 12, seed=n)
    for extra in ("README", "noise/free-sound/ANNOTATIONS", "music/fma/._x.wav"):
        (root / extra).write_text("no sound\n")
    return root


def test_musan_as_published(musan, tmp_path):
    said = prepare("musan", musan, tmp_path / "data")
    assert "5 in, 5 out, 0 dropped" in said and "9 in, 9 out, 0 dropped" in said
    table = assert_valid(tmp_path / "data/musan_noise")
    assert_valid(tmp_path / "data/musan_music")
    assert_valid(tmp_path / "data/musan_speech")
    name = "noise-free-sound-000"
    found = read_floats(tmp_path / "data/musan_noise/utt2dur")
    assert found == {
        f"{name}0-00000": 3, f"{name}1-00000": 10, f"{name}2-00000": 19.5,
        f"{name}3-00000": 10, f"{name}3-00010": 10, f"{name}3-00020": 10,
        f"{name}3-00030": 17, "noise-sound-bible-0000-00000": 1,
    }  # fmt: skip
    # The parts are the recording, no sample more or less.
    whole, _ = soundfile.read(musan / f"noise/free-sound/{name}3.wav", dtype="float32")
    parts = [table.read(f"{name}3-000{start}")[0] for start in ("00", "10", "20", "30")]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    utt2spk = read_table(tmp_path / "data/musan_noise/utt2spk")
    assert utt2spk[f"{name}3-00010"] == f"{name}3"
    sessions = read_table(tmp_path / "data/musan_noise/utt2session")
    assert set(sessions.values()) == {"free-sound", "sound-bible"}
    before = digests(tmp_path / "data")
    prepare("musan", "--nj", 1, musan, tmp_path / "data")
    assert digests(tmp_path / "data") == before
    prepare("musan", "--window", 0, "--types", "noise", musan, tmp_path / "data")
    assert not (tmp_path / "data/musan_noise/segments").exists()
    table = assert_valid(tmp_path / "data/musan_noise")
    assert len(table) == 5 and len(table.read(f"{name}3")[0]) == len(whole)


def test_musan_split(tmp_path):
    root = tmp_path / "musan_split"
    for n in range(4):
        for start in (0, 3, 6):
            name = f"fma/music-fma-{n:04d}/{start:05d}.wav"
            wav(root / "music" / name, 5 * RATE, seed=n)
    prepare("musan", "--types", "music", root, tmp_path / "data")
    data = tmp_path / "data/musan_music"
    table = assert_valid(data)
    assert list(table)[:4] == [
        "music-fma-0000-00000", "music-fma-0000-00003", "music-fma-0000-00006",
        "music-fma-0001-00000",
    ]  # fmt: skip
    assert len(read_table(data / "spk2utt", None)) == 4
    assert not (data / "segments").exists()
    wav(root / "music/fma/music-fma-0005.wav")
    said = prepare("musan", "--types", "music", root, tmp_path / "data", code=1)
    assert "music-fma-0005.wav: neither" in said and "move it" in said


def test_files_of_no_use_are_dropped_or_changed_with_a_reason(musan, tmp_path):
    folder, data = musan / "noise/free-sound", tmp_path / "data/musan_noise"
    save(folder / "silent.wav", np.zeros(RATE, np.float32))
    save(folder / "short.wav", noise(100))
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no sound\n")
    save(folder / "none.wav", np.zeros(0, np.float32))
    cut = wav(folder / "cut.wav").read_bytes()
    (folder / "cut.wav").write_bytes(cut[:9000])
    nan = np.full(RATE, np.nan, np.float32)
    soundfile.write(folder / "nan.wav", nan, RATE, "FLOAT")
    (folder / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    wav(folder / "rain in\u00a0May\n.wav")
    reasons = {
        "silent": "silent: all 16000", "short": "too short: 100 samples",
        "empty": "empty file (0 bytes)", "text": "damaged", "none": "empty: 0 samples",
        "cut": "truncated", "nan": "NaN or infinite", "gone": "no such file",
        "rain_in_May_": "rename it",
    }  # fmt: skip
    wav(folder / "cd quality.wav", 44100, rate=44100, channels=2)
    wav(folder / "phone.flac", 8000, rate=8000)
    gaps = np.concatenate([np.zeros(RATE * 20), noise(RATE * 10), np.zeros(RATE * 20)])
    save(folder / "gaps.wav", gaps.astype(np.float32))
    words = ["--types", "noise", musan, tmp_path / "data"]
    said = prepare("musan", *words, code=1)
    assert "9 of 17 were dropped, more than --max-fail-ratio 0.05" in said
    assert not (data / "wav.scp").exists()
    said = prepare("musan", "--max-fail-ratio", 0.6, *words)
    assert "17 in, 8 out, 9 dropped" in said and "4 silent parts left out" in said
    found = dropped(data)
    assert set(found) == set(reasons)
    for name, reason in reasons.items():
        assert reason in found[name]
    assert (data / "log/silent").read_text().split() == [
        f"gaps-000{start}" for start in ("00", "10", "30", "40")
    ]
    table = assert_valid(data)
    assert "gaps-00020" in table and "gaps-00000" not in table
    wavs = read_table(data / "wav.scp", None)
    for name in ("cd_quality", "phone"):
        assert wavs[name] == str(data / f"audio/{name}.flac")
        assert len(table.read(f"{name}-00000")[0]) == RATE
    before = digests(tmp_path / "data")
    prepare("musan", "--max-fail-ratio", 0.6, *words)
    assert digests(tmp_path / "data") == before
    prepare("musan", "--sampling-rate", 8000, *words, code=1)
    assert not (data / "wav.scp").exists()  # it would name copies at two rates
    prepare("musan", "--max-fail-ratio", 0.6, *words)
    assert digests(tmp_path / "data") == before


def test_wrong_folders_are_named_with_the_right_one(musan, tmp_path):
    data = tmp_path / "data"
    for wrong in (tmp_path, musan / "noise"):
        said = prepare("musan", wrong, data, code=1)
        assert f"{wrong}: no folder noise: did you mean {musan}?" in said
    said = prepare("musan", tmp_path / "nowhere", data, code=1)
    assert "nowhere: no folder noise: name the folder that holds" in said
    (musan / "music/fma/music-fma-0000.wav").unlink()
    said = prepare("musan", musan, data, code=1)
    assert f"{musan}/music: no <source>/<file>.wav in it: unpack MUSAN again" in said
    assert not data.exists()
    wav(musan / "music/jamendo/a.wav")
    wav(musan / "music/rfm/a.wav")
    said = prepare("musan", "--types", "music", musan, data, code=1)
    assert "are both named 'a': rename one" in said
    said = prepare("musan", "--types", "noise,sound", musan, data, code=2)
    assert "--types: some of noise,music,speech" in said


# --- RIRS_NOISES


def make_rirs(root, whole=True):
    """RIRS_NOISES in small: two rooms of a size, two channels in real recordings."""
    for kind in ("smallroom", "mediumroom", "largeroom"):
        for room in ("Room001", "Room002"):
            for n in (1, 2, 3):
                path = root / f"simulated_rirs/{kind}/{room}/{room}-{n:05d}.wav"
                wav(path, 4000 + n)
        (root / "simulated_rirs" / kind / "room_info").write_text("x\n")
    if not whole:
        return root
    real = root / "real_rirs_isotropic_noises"
    responses = ["RVB2014_type1_rir_largeroom1_far_angla", "air_type1_air_lecture_0_1"]
    noises = ["RVB2014_type1_noise_largeroom1_1"]
    for n, name in enumerate(responses + noises):
        wav(real / f"{name}.wav", 30 * RATE if name in noises else 8000, channels=n + 1)
    for file, option, names in (
        ("rir_list", "rir", responses), ("noise_list", "noise", noises),
    ):  # fmt: skip
        lines = [
            f"--{option}-id {n} --room-id r{n} RIRS_NOISES/{real.name}/{name}.wav\n"
            for n, name in enumerate(names)
        ]
        (real / file).write_text("".join(lines))
    for n in range(3):
        wav(root / f"pointsource_noises/noise-free-sound-{n:04d}.wav", RATE * (n + 1))
    return root


def test_rirs_noises_whole(tmp_path):
    root, data = make_rirs(tmp_path / "RIRS_NOISES"), tmp_path / "data"
    prepare("rirs", root, data)
    table = assert_valid(data / "rirs")
    assert len(table) == 12 and "smallroom-Room002-00003" in table
    rooms = read_table(data / "rirs/spk2utt", None)
    assert list(rooms) == [
        f"{kind}-Room00{n}" for kind in ("mediumroom", "smallroom") for n in (1, 2)
    ]
    assert_valid(data / "pointsource_noises")
    isotropic = assert_valid(data / "isotropic_noises")
    assert list(isotropic) == [
        f"RVB2014_type1_noise_largeroom1_1-000{start}" for start in ("00", "10", "20")
    ]
    before = digests(data)
    prepare("rirs", "--nj", 1, root, data)
    assert digests(data) == before
    prepare("rirs", "--rirs", "real,largeroom", root, data)
    table = assert_valid(data / "rirs")
    assert len(table) == 8
    sessions = read_table(data / "rirs/utt2session")
    assert set(sessions.values()) == {"largeroom", "real_rir"}


def test_of_several_channels_the_first_is_taken(tmp_path):
    root, data = make_rirs(tmp_path / "RIRS_NOISES"), tmp_path / "data"
    name = "air_type1_air_lecture_0_1"
    path = root / f"real_rirs_isotropic_noises/{name}.wav"
    channels, _ = soundfile.read(path, dtype="float32")
    assert channels.shape == (8000, 2)
    prepare("rirs", "--rirs", "real", root, data)
    assert read_table(data / "rirs/wav.scp", None)[name].endswith(f"audio/{name}.flac")
    np.testing.assert_array_equal(WavTable(data / "rirs").read(name)[0], channels[:, 0])
    channels[:, 0] = 0
    soundfile.write(path, channels, RATE)
    prepare("rirs", "--rirs", "real", "--max-fail-ratio", 0.5, root, data)
    assert "channel 1, the one we take: silent" in dropped(data / "rirs")[name]


def test_simulated_rirs_alone(tmp_path):
    root = make_rirs(tmp_path / "RIRS_NOISES", whole=False)
    kinds = "smallroom,mediumroom,largeroom"
    said = prepare("rirs", "--rirs", kinds, root, tmp_path / "data")
    assert "no noises, only responses" in said and "18 in, 18 out" in said
    assert_valid(tmp_path / "data/rirs")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["rirs"]


def test_wrong_rooms_are_named_with_the_remedy(tmp_path):
    root, data = make_rirs(tmp_path / "RIRS_NOISES"), tmp_path / "data"

    def refused(*words, code=1):
        said = prepare("rirs", *words, data, code=code)
        assert not data.exists()
        return said

    for wrong in (tmp_path, root / "simulated_rirs"):
        assert f"no such folder: did you mean {root}?" in refused(wrong)
    assert "or the kinds that are there with --rirs" in refused(tmp_path / "nowhere")
    assert "largeroom,real, got 'tiny'" in refused("--rirs", "tiny", root, code=2)
    real = root / "real_rirs_isotropic_noises"
    shutil.copy(real / "rir_list", tmp_path)
    (real / "rir_list").unlink()
    assert "it tells responses from noises: unpack" in refused(root)
    shutil.copy(tmp_path / "rir_list", real)
    wav(root / "simulated_rirs/smallroom/lost.wav")
    assert "smallroom/lost.wav: not " in refused(root)
    (root / "simulated_rirs/smallroom/lost.wav").unlink()
    shutil.rmtree(root / "pointsource_noises")
    (root / "pointsource_noises").mkdir()
    assert "pointsource_noises: no wav in it: unpack" in refused(root)
    (root / "pointsource_noises").rmdir()
    wav(real / "mine.wav")
    with open(real / "rir_list", "a") as lines:
        lines.write("--rir-id 9 --room-id r9 RIRS_NOISES/x/gone.wav\n")
    words = ["--rirs", "real", "--max-fail-ratio", 0.4, root, data]
    said = prepare("rirs", *words)
    assert "1 files are in neither rir_list nor noise_list" in said
    assert "gone.wav: no such file" in dropped(data / "rirs")["gone"]


# --- what they are for


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    """Real noises, rooms and voices, laid out as published, and what comes of them."""
    folder, shared = tmp_path_factory.mktemp("real"), shared_data
    voices = sorted((shared / "speech/librispeech_tc100").glob("*/*/*.flac"))

    def link(path, source):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source)

    musan, rirs = folder / "musan", folder / "RIRS_NOISES"
    for n, path in enumerate(sorted((shared / "noise").glob("*/*.flac"))):
        link(musan / f"noise/free-sound/noise-free-sound-{n:04d}.flac", path)
    for n, path in enumerate(voices[:10]):
        link(musan / f"speech/librivox/speech-librivox-{n:04d}.flac", path)
    link(musan / "music/fma/music-fma-0000.flac", voices[10])
    responses = sorted((shared / "rir").glob("*/*.flac"))
    for n, path in enumerate(responses):
        link(rirs / f"simulated_rirs/smallroom/Room001/Room001-{n:05d}.flac", path)
    folder_of_real = rirs / "real_rirs_isotropic_noises"
    folder_of_real.mkdir()
    pair = [soundfile.read(path, 1600)[0] for path in responses[:2]]
    soundfile.write(folder_of_real / "pair.wav", np.stack(pair, axis=1), RATE)
    wav(folder_of_real / "hum.wav", channels=2)
    (folder_of_real / "rir_list").write_text("--rir-id 1 --room-id 1 pair.wav\n")
    (folder_of_real / "noise_list").write_text("--noise-id 1 x/hum.wav\n")
    prepare("musan", musan, folder / "data")
    prepare("rirs", "--rirs", "smallroom,real", rirs, folder / "data")
    for name in ("musan_noise", "musan_music", "musan_speech", "rirs"):
        assert_valid(folder / "data" / name)
    entries = {f"{path.parts[-3]}-{path.stem}": str(path) for path in voices[20:26]}
    make_data_dir(folder / "data/train", entries)
    settings = yaml.safe_load((RECIPE / "conf/augment.yaml").read_text())
    for kind in (*settings["noises"].values(), settings["babble"], settings["reverb"]):
        kind["data"] = str(folder / kind["data"])
    (folder / "augment.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_real_rooms_of_several_channels_are_among_them(real, shared_data):
    table = WavTable(real / "data/rirs")
    assert len(table) == 10
    wavs = read_table(real / "data/rirs/wav.scp", None)
    assert wavs["pair"].endswith("rirs/audio/pair.flac")
    first = sorted((shared_data / "rir").glob("*/*.flac"))[0]
    samples, _ = soundfile.read(first, 1600)
    np.testing.assert_allclose(table.read("pair")[0], samples, atol=1e-4)


def test_packed_copies_with_real_noises(real, tmp_path):
    """Every kind alone, by the recipe's settings, changes what is packed."""
    settings = yaml.safe_load((real / "augment.yaml").read_text())
    noises = {name: {"noises": {name: own}} for name, own in settings["noises"].items()}
    kinds = {
        **noises,
        **{name: {name: settings[name]} for name in ("babble", "reverb")},
    }
    assert set(kinds) == {"noise", "music", "babble", "reverb"}
    clean = WavTable(real / "data/train")
    found = {}
    for name, kind in {**kinds, "all": settings}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"prob": 1.0, **kind}))
        run(
            ROOT, "steps/pack_audio.sh", "--nj", "2", "--augment", str(path),
            str(real / "data/train"), str(tmp_path / name), str(tmp_path / "audio"),
        )  # fmt: skip
        table = WavTable(tmp_path / name)
        found[name] = {utt: table.read(utt, RATE)[0] for utt in table}
    for utt in clean:
        speech = clean.read(utt)[0]
        for name in kinds:
            changed = found[name][utt]
            assert len(changed) == len(speech) and not np.allclose(changed, speech)
            if name != "reverb":
                gain = np.dot(changed, speech) / np.dot(speech, speech)
                rest = changed - gain * speech
                snr_db = 10 * np.log10(np.mean((gain * speech) ** 2) / np.mean(rest**2))
                low, high = {**settings["noises"], **settings}[name]["snr_db"]
                assert low - 1.5 < snr_db < high + 1.5, (name, utt)


def test_pieces_for_training_with_real_noises(real):
    data = real / "data/train"
    table = WavTable(data)
    frames = {utt: table.length(utt)[0] // 160 for utt in table}
    write_table(data / "utt2num_frames", frames)
    changes = config.load(real / "augment.yaml", AugmentConfig)
    for row in range(len(frames)):
        pieces = []
        for _ in range(2):
            audio = AudioTable(
                data, FrontendConfig(vad=False), FeatureConfig(type="fbank"), changes
            )
            pieces += [audio.piece(row, 150, np.random.default_rng(row))]
        assert np.isfinite(pieces[0]).all() and len(pieces[0]) == 150
        np.testing.assert_array_equal(*pieces)


def test_the_recipe_links_and_names_what_its_scripts_make():
    for name in ("steps", "utils"):
        assert os.readlink(RECIPE / name) == f"../../{name}"
    settings = config.load(RECIPE / "conf/augment.yaml", AugmentConfig)
    assert settings.reverb.data == "data/rirs"
    assert settings.babble.data == "data/musan_speech"
    assert settings.babble.num_speakers == [3, 8]
    assert {noise.data for noise in settings.noises.values()} == {
        "data/musan_noise", "data/musan_music",
    }  # fmt: skip
