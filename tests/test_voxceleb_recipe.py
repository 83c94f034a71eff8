"""egs/voxceleb: the corpora, noises and rooms as published, and as people have them."""

import gzip
import json
import os
import random
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile
import yaml
from data_dirs import make_data_dir, noise
from recipe_tools import ROOT, copy_project, digests, run
from test_audio import save, save_m4a

from chronovox import config, datadir_check, models
from chronovox.audio import WavTable
from chronovox.augment import AugmentConfig
from chronovox.datadir import read_floats, read_table, write_table
from chronovox.features import FeatureConfig
from chronovox.frontend import AudioTable, FrontendConfig
from chronovox.scoring.identification import read_list
from chronovox.training import settings as training_settings
from chronovox.trials import read_trials

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
    assert os.readlink(RECIPE / "conf/trials") == "../../../conf/trials"
    model = training_settings.load(RECIPE / "conf/resnet34_aam.yaml").model
    network = models.build(model, feat_dim=80)
    assert 5e6 < sum(weights.numel() for weights in network.parameters()) < 6e6
    settings = config.load(RECIPE / "conf/augment.yaml", AugmentConfig)
    assert settings.reverb.data == "data/rirs"
    assert settings.babble.data == "data/musan_speech"
    assert settings.babble.num_speakers == [3, 8]
    assert {noise.data for noise in settings.noises.values()} == {
        "data/musan_noise", "data/musan_music",
    }  # fmt: skip


# --- the corpora: where their files lie

# Speakers, each with two videos of two utterances. Videos of two people and ids that
# begin with '-' occur in both corpora.
SPEAKERS1 = [f"id1000{n}" for n in range(1, 7)]
SPEAKERS2 = [f"id0001{n}" for n in range(1, 8)]
VIDEOS = ("-abc_DEF-12", "_x-YZ012345")


def utterances(speakers, videos=VIDEOS):
    return [
        (spk, video, f"{n:05d}") for spk in speakers for video in videos for n in (1, 2)
    ]


def place(root, where, speakers, suffix):
    """Empty recordings below `root`/`where`."""
    for spk, video, utt in utterances(speakers):
        path = root / where / spk / video / f"{utt}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(root, folder, *words, code=0):
    """What local/list_utterances.py says, and the rows it writes."""
    path = folder / "list"
    said = run(
        RECIPE, "local/list_utterances.py", *words, str(root), str(path), code=code
    ).stdout
    return said, [line.split("\t") for line in path.read_text().splitlines()]


LAYOUTS = {
    "merged": {"wav": SPEAKERS1},
    "the folder itself": {".": SPEAKERS1},
    "archives": {"vox1_dev_wav/wav": SPEAKERS1[:4], "vox1_test_wav/wav": SPEAKERS1[4:]},
    "dev and test": {"my/dev/wav": SPEAKERS1[:4], "my/test/wav": SPEAKERS1[4:]},
    "test unpacked above": {"dev/aac": SPEAKERS1[:4], "aac": SPEAKERS1[4:]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_recordings_are_found_in_every_layout(layout, tmp_path):
    suffix = ".m4a" if "aac" in LAYOUTS[layout] else ".wav"
    for where, speakers in LAYOUTS[layout].items():
        place(tmp_path / "c", where, speakers, suffix)
    said, rows = listed(tmp_path / "c", tmp_path)
    wanted = [["-".join(names), *names[:2]] for names in utterances(SPEAKERS1)]
    assert [row[:3] for row in rows] == wanted
    assert all(os.path.exists(row[3]) for row in rows)
    assert "24 in, 24 out, 0 dropped" in said


def test_what_does_not_fit_among_the_recordings_is_listed(tmp_path):
    root = tmp_path / "c"
    place(root, "dev/aac", SPEAKERS1, ".m4a")
    place(root, "dev/mp4", SPEAKERS1, ".mp4")
    place(root, "dev/wav", SPEAKERS1[:2], ".wav")
    tree = root / "dev/aac"
    reasons = {
        "id10001/00001.m4a": "not <speaker>/<video>/<utterance>: move it",
        "id10001/v/a/00001.m4a": "not <speaker>/<video>/<utterance>: move it",
        "lost.m4a": "not <speaker>/<video>/<utterance>: move it",
        "id10001/v/tab\t.m4a": "control characters, or no UTF-8: rename it",
        "id10001/v w/00001.m4a": "names with more than letters",
        "id10002/v/00001.txt": "no recording", "notes": "no recording",
        "id1000/v/00001.m4a": "no speaker: not id and 5 digits",
        "id10003/v/.00001.m4a": "",
    }  # fmt: skip
    for name in reasons:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    said, rows = listed(root, tmp_path, "--max-fail-ratio", "0.5")
    assert "dev/mp4: no recordings in its first folders: not used" in said
    assert "29 in, 24 out, 5 dropped" in said and "12 others ignored" in said
    assert Counter(row[3][-4:] for row in rows) == {".wav": 8, ".m4a": 16}
    reasons[f"{root}/dev/mp4"] = "no recordings in its first folders: not used"
    for table, count in (("dropped", 5), ("ignored", 12)):
        lines = (tmp_path / f"list.{table}").read_text().splitlines()
        assert len(lines) == count
        for line in lines:
            path, why = line.split(" ", 1)
            name = path.removeprefix(f"{tree}/").replace("\\x20", " ")
            name = {"id1000": "id1000/v/00001.m4a"}.get(
                name.replace("\\x09", "\t"), name
            )
            known = reasons.get(name.replace("\\x09", "\t"), "there twice: ")
            assert why.startswith(known), line
    said, _ = listed(root, tmp_path, code=1)
    assert "5 of 29 were dropped, more than --max-fail-ratio 0.05" in said
    empty = tmp_path / "empty"
    empty.mkdir()
    said, _ = listed(empty, tmp_path, code=1)
    assert f"{empty}: no id#####/<video>/<utterance> in it or 3 folders below" in said
    assert "nowhere: no such folder" in listed(empty / "nowhere", tmp_path, code=1)[0]


# --- the corpora: data directories


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project")) / "egs/voxceleb"


def meta1(speakers, end="\n") -> str:
    rows = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for n, spk in enumerate(speakers):
        country = ("USA", "New Zealand")[n % 4 > 1]
        rows.append(f"{spk}\tPerson_{n}\t{'mf'[n % 2]}\t{country}\tdev")
    return end.join(rows) + end


def meta2(speakers, num_test=1, mark=" \t") -> str:
    """As published: a blank before every mark, and at the end of lines."""
    rows = [["Name", "VoxCeleb2 ID", "VGGFace2 ID", "Gender", "Set", ""]]
    for n, spk in enumerate(speakers):
        part = "test" if n < num_test else "dev"
        rows.append([f"Ádám, {n}", spk, f"n{n:06d}", "mf"[n % 2], part, ""])
    if mark == " ,":
        rows = [row[1:] for row in rows]
    return "".join(mark.join(row).removesuffix(mark[-1]) + "\n" for row in rows)


def speak(root, where, speakers, suffix, videos=VIDEOS):
    """Short recordings below `root`/`where`."""
    for seed, (spk, video, utt) in enumerate(utterances(speakers, videos)):
        path = root / where / spk / video / f"{utt}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = noise(8000 + 160 * seed, seed)
        (save_m4a if suffix == ".m4a" else save)(path, samples)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Both corpora in small, with faces, metadata and ages."""
    folder = tmp_path_factory.mktemp("my corpora")
    one, two = folder / "vox 1", folder / "vox 2"
    speak(one, "vox1_dev_wav/wav", SPEAKERS1[:4], ".wav")
    speak(one, "vox1_test_wav/wav", SPEAKERS1[4:], ".wav")
    speak(two, "dev/aac", SPEAKERS2[1:], ".m4a", (VIDEOS[0], "b" * 11, "c" * 11))
    speak(two, "aac", SPEAKERS2[:1], ".m4a")
    (one / "vox1_meta.csv").write_text(meta1(SPEAKERS1, "\r\n"), newline="")
    (two / "vox2_meta.csv").write_text(meta2(SPEAKERS2), encoding="utf-8")
    for n in range(len(SPEAKERS1)):
        for video in (*VIDEOS, "gone_video_"):
            for frame in ("0000025", "0000050", "0000075"):
                path = one / f"unzippedFaces/Person_{n}/1.6/{video}/{frame}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    (one / "unzippedFaces/Nobody/1.6").mkdir(parents=True)
    for spk in SPEAKERS2:
        for video in (VIDEOS[0], "b" * 11):
            for name in ("00001/01.png", "00002/01.jpeg", "00009/01.jpg"):
                path = two / "frames" / spk / video / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    rows = ["VoxCeleb_ID,video_id,gender,nationality_wiki,age"]
    for n, spk in enumerate(SPEAKERS1):
        rows += [
            f"{spk},{video},m,x,{20 + n + 13 * v}.0" for v, video in enumerate(VIDEOS)
        ]
    (folder / "ages.csv").write_text("\r\n".join(rows) + "\r\n", newline="")
    return folder


def start(recipe, corpora, *words, code=0):
    """Run the recipe up to the trial lists."""
    return run(
        recipe, "./run.sh", "--vox1", str(corpora / "vox 1"), "--vox2",
        str(corpora / "vox 2"), "--nj", "2", "--stop-stage", "2",
        "--dev-speakers", "2", *words, code=code,
    ).stdout  # fmt: skip


def test_both_corpora_become_data_directories_and_lists(recipe, corpora):
    said = start(
        recipe, corpora, "--ages", str(corpora / "ages.csv"),
        "--trials", "our-E only-H only-CA10 Vox-CA10",
    )  # fmt: skip
    data = recipe / "data"
    speakers = {
        name: list(read_table(data / name / "spk2utt", None))
        for name in ("train", "dev", "test")
    }
    assert speakers["test"] == SPEAKERS1
    assert len(speakers["train"]) == 4 and len(speakers["dev"]) == 2
    assert sorted(speakers["train"] + speakers["dev"]) == SPEAKERS2[1:]
    assert "1 speakers of VoxCeleb2's test set, with 4 utterances, are not used" in said
    assert (
        "VoxCeleb1: 24 utterances, 2 videos, 2 of these of two people or more" in said
    )
    assert "1 of 3 videos of the training side are in VoxCeleb1 too" in said
    assert "with 12 of 36 utterances: used" in said
    shared = (data / "local/shared_videos").read_text()
    assert shared == f"{VIDEOS[0]} {','.join(SPEAKERS1)} {','.join(SPEAKERS2[1:])}\n"
    table = assert_valid(data / "test")
    assert len(table) == 24 and len(WavTable(data / "train")) == 24
    assert (
        read_table(data / "test/utt2session")[f"id10001-{VIDEOS[0]}-00001"] == VIDEOS[0]
    )
    nationality = read_table(data / "test/spk2nationality")
    assert nationality["id10001"] == "USA" and nationality["id10003"] == "New_Zealand"
    assert not (data / "train/spk2nationality").exists()
    with gzip.open(data / "train/recordings.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    assert [item["id"] for item in found] == list(WavTable(data / "train"))
    assert found[0]["sources"][0]["source"].endswith(".m4a")
    trials = read_trials(data / "test/trials/only-CA10")
    assert trials.is_target.sum() == 24  # 6 speakers, 2 videos of 2, each pair once
    assert (data / "dev/trials/our-E").stat().st_size > 0
    assert (data / "local/dropped").read_text() == ""


def test_faces_are_found_by_the_names_of_both_corpora(recipe, corpora):
    if not (recipe / "data/test/faces/face.scp").exists():
        start(recipe, corpora, "--stop-stage", "0")
    data = recipe / "data"
    face2utt = read_table(data / "test/faces/face2utt")
    first, second = (f"id10001-{VIDEOS[0]}-0000{n}" for n in (1, 2))
    assert len(face2utt) == 6 * 2 * 3
    assert face2utt[f"id10001-{VIDEOS[0]}-0000025"] == first
    assert face2utt[f"id10001-{VIDEOS[0]}-0000050"] == second
    scp = read_table(data / "test/faces/face.scp", None)
    assert scp[f"id10002-{VIDEOS[1]}-0000025"] == str(
        corpora / f"vox 1/unzippedFaces/Person_1/1.6/{VIDEOS[1]}/0000025.jpg"
    )
    found = [read_table(data / f"{name}/faces/face2utt") for name in ("train", "dev")]
    assert [len(table) for table in found] == [4 * 4, 2 * 4]
    for face, utt in (found[0] | found[1]).items():
        assert face == f"{utt}-01"
    ignored = (data / "local/ignored").read_text()
    assert ignored.count("no video gone_video_ of id1000") == 6
    assert ignored.count(f"-{VIDEOS[0]}-00009\n") == 6
    assert ignored.count("no utterance of id00011\n") == 1
    assert ignored.count("/unzippedFaces/Nobody no speaker's name\n") == 1


def test_shared_videos_leave_the_training_side_alone(recipe, corpora, tmp_path):
    """Faces may be elsewhere; tables may have commas; durations may be given."""
    dur_s = [f"{spk}/{video}/{utt} 0.7" for spk, video, utt in utterances(SPEAKERS1)]
    with gzip.open(tmp_path / "dur.gz", "wt") as stream:
        stream.write("\r\n".join(dur_s))
    (tmp_path / "meta.csv").write_text(
        meta2(SPEAKERS2, mark=" ,"), encoding="utf-8-sig"
    )
    said = start(
        recipe, corpora, "--stop-stage", "0", "--exclude-shared-videos", "true",
        "--meta2", str(tmp_path / "meta.csv"), "--utt2dur", str(tmp_path / "dur.gz"),
        "--vox2-faces", str(corpora / "vox 2/frames"),
    )  # fmt: skip
    assert "with 12 of 36 utterances: left out" in said
    assert "no ages and no faces" not in said
    sessions = read_table(recipe / "data/train/utt2session")
    assert len(sessions) == 16 and set(sessions.values()) == {"b" * 11, "c" * 11}
    assert set(read_table(recipe / "data/test/utt2dur").values()) == {"0.7"}
    assert len(read_table(recipe / "data/train/faces/face2utt")) == 4 * 2


# --- without audio


@pytest.fixture(scope="module")
def real_meta(shared_data):
    return shared_data / "voxceleb_meta"


def make_up_ages(real_meta, path) -> None:
    """A birth year for every speaker, a year for every video, and what goes wrong."""
    rng, birth, ages = random.Random(1), {}, {}
    with gzip.open(real_meta / "vox1_utt2dur.txt.gz", "rt") as lines:
        for line in lines:
            spk, video, _ = line.split("/")
            if (spk, video) not in ages:
                born = birth.setdefault(spk, rng.randrange(1930, 1990))
                ages[spk, video] = f"{rng.randrange(1992, 2018) - born}.0"
    odd = sorted(ages)[::5000]
    ages |= dict(zip(odd, ["-4", "336", "0", "unknown", ""], strict=True))
    rows = [f"{spk},{video},m,usa,{age}" for (spk, video), age in ages.items()]
    rows.append("id99999,00000000000,f,uk,29.0")
    header = "VoxCeleb_ID,video_id,gender,nationality_wiki,age"
    path.write_text("\r\n".join([header, *rows, ""]), newline="")


@pytest.fixture(scope="module")
def lists(recipe, real_meta, tmp_path_factory):
    """The recipe on the real metadata; returns its data/test, and what was said."""
    shutil.rmtree(recipe / "data", ignore_errors=True)
    ages = tmp_path_factory.mktemp("ages") / "real ages.csv"
    make_up_ages(real_meta, ages)
    said = run(
        recipe, "./run.sh", "--metadata-only", "true",
        "--utt2dur", str(real_meta / "vox1_utt2dur.txt.gz"),
        "--meta", str(real_meta / "vox1_meta.csv"), "--ages", str(ages),
        "--official-lists", str(real_meta), "--trials", "our-H Vox-CA20",
    ).stdout  # fmt: skip
    return recipe / "data/test", said


def test_all_of_voxceleb1_without_audio(lists):
    data, said = lists
    assert "153516 in, 153516 out, 0 dropped" in said
    assert "1251 speakers, 690 m, 561 f" in said
    assert "153516 utterances, 22168 videos, 324 of these of two people or more" in said
    assert "22497 entries, 1 of sessions that data/test lacks; 5 rejections" in said
    rejected = (data / "utt2age.rejected").read_text()
    for age in ("-4 is not above 0", "336 is not above 0 and up to 120", "'unknown'"):
        assert age in rejected
    assert "stages 3 to 7 need recordings: ./run.sh --vox1 DIR" in said
    assert not (data / "wav.scp").exists()
    assert datadir_check.find_problems(data, True, True, True) == []


def test_our_h_has_the_speakers_of_voxceleb_h(lists):
    data, _ = lists
    trials, utt2spk = read_trials(data / "trials/our-H"), read_table(data / "utt2spk")
    enrolled = {utt2spk[utt] for utt in trials.enrol}
    gender, country = (
        read_table(data / name) for name in ("spk2gender", "spk2nationality")
    )
    groups = Counter((gender[spk], country[spk]) for spk in enrolled)
    assert len(enrolled) == 1190 and len(groups) == 18 and min(groups.values()) >= 5
    age = read_floats(data / "utt2age")
    trials = read_trials(data / "trials/Vox-CA20")
    gaps = [
        abs(age[one] - age[other])
        for one, other, is_target in zip(
            trials.enrol, trials.test, trials.is_target, strict=True
        )
        if is_target
    ]
    assert min(gaps) >= 20


def test_official_lists_and_back(lists, recipe, real_meta, tmp_path):
    data, said = lists
    for name, number in (("veri_test", 37720), ("veri_test2", 37611)):
        assert f"{number} trials in, {number} out, 0 dropped" in said
        trials = "Vox-O" if name == "veri_test" else "Vox-O-cleaned"
        run(
            recipe, "steps/convert_trials.py", "--to", "voxceleb", str(data),
            str(data / "trials" / trials), str(tmp_path / name),
        )  # fmt: skip
        with gzip.open(real_meta / f"{name}.txt.gz") as stream:
            text = stream.read()
        if name == "veri_test2":  # ends its lines as on Windows, but the last
            text = text.replace(b"\r\n", b"\n") + b"\n"
        assert (tmp_path / name).read_bytes() == text
    assert "is not the published" not in said
    assert not list((data / "trials").glob(".veri*"))
    for name in ("list_test_hard", "veri_test"):
        with gzip.open(real_meta / "veri_test.txt.gz") as stream:
            (tmp_path / f"{name}.txt").write_bytes(stream.read())
    said = run(recipe, "local/convert_lists.sh", str(tmp_path), str(data)).stdout
    assert f"warning: {tmp_path}/list_test_hard.txt is not the published" in said
    assert said.count("warning") == 1 and (data / "trials/Vox-H").exists()
    (tmp_path / "none").mkdir()
    said = run(
        recipe, "local/convert_lists.sh", str(tmp_path / "none"), str(data), code=1
    ).stdout
    assert "none of veri_test.txt veri_test2.txt" in said


def test_the_split_for_identification(lists, recipe, tmp_path):
    """As large as the published one, which is of these utterances, and shuffled; then
    one speaker's enrolment is missing."""
    data, _ = lists
    utt2spk = read_table(data / "utt2spk")
    names = {utt: f"{utt[:7]}/{utt[8:19]}/{utt[20:]}.wav" for utt in utt2spk}
    paths = list(names.values())
    random.Random(1).shuffle(paths)
    first = {path[:7]: path for path in paths}  # one of each enrols
    paths.sort(key=lambda path: path != first[path[:7]])  # the others stay shuffled
    parts = ["1"] * 138361 + ["2"] * 6904 + ["3"] * 8251
    rows = [f"{part} {path}" for part, path in zip(parts, paths, strict=True)]
    (tmp_path / "iden_split.txt").write_text("\r\n".join(rows), newline="")
    words = [str(tmp_path / "iden_split.txt"), str(data), str(tmp_path / "iden")]

    def make(*options, code=0):
        return run(
            recipe, "local/make_identification.py", *options, *words, code=code
        ).stdout

    said = make()
    assert "153516 in, 153516 out, 0 dropped" in said and "published" not in said
    assert "iden: 1251 speakers enrolled, 8251 tests" in said
    found = read_list(data, tmp_path / "iden")
    assert len(found.enrolments) == 1251 and len(found.tests) == 8251
    assert sum(map(len, found.enrolments.values())) == 138361
    assert found.own.min() >= 0  # no impostors
    lost = {row[2:] for row in rows if row.startswith("1 id10001/")}
    tests = sum(row.startswith("3 id10001/") for row in rows)
    assert lost and tests
    small = tmp_path / "small"
    kept = {utt: spk for utt, spk in utt2spk.items() if names[utt] not in lost}
    write_table(small / "utt2spk", kept)
    words[1] = str(small)
    said = make()
    assert "iden: 1250 speakers enrolled" in said
    assert f"{len(lost) + tests} dropped" in said
    why = (tmp_path / "iden/dropped").read_text()
    assert why.count("no utterance of id10001 enrols") == tests
    assert (read_list(small, tmp_path / "iden").own >= 0).all()
    for content, message in (
        (rows[:-1], "part 3: 8250, published: 8251"),
        (["4 a/b/c.wav"], ":1: expected '1|2|3 <speaker>/<video>/<utterance>.wav', f"),
        ([rows[0], rows[0]], ":2: id"),
        ([*rows[:99], "1 id/b/c.wav"], "--max-fail-ratio 0.0 allows"),
    ):
        (tmp_path / "iden_split.txt").write_text("\n".join([*content, ""]))
        code = 0 if len(content) > 999 else 1
        options = () if code == 0 else ("--max-fail-ratio", "0")
        assert message in make(*options, code=code)
    assert not (tmp_path / "iden/tests").exists()


def test_videos_that_both_corpora_have(recipe, real_meta, tmp_path):
    """By the published lists of videos, many are in both."""
    videos = {}
    for corpus in (1, 2):
        with gzip.open(real_meta / f"vox{corpus}_person_videos.json.gz") as stream:
            videos[corpus] = json.load(stream)
        rows = [
            f"{spk}-{video}-00001\t{spk}\t{video}\n"
            for spk, names in videos[corpus].items()
            for video in set(names)
        ]
        (tmp_path / str(corpus)).write_text("".join(sorted(rows)))
    said = run(
        recipe, "local/make_data_dirs.py", "--exclude-shared-videos", "true",
        str(real_meta / "vox1_meta.csv"), str(tmp_path / "1"), str(tmp_path / "data"),
        str(real_meta / "vox2_meta.csv"), str(tmp_path / "2"),
    ).stdout  # fmt: skip
    assert "vox2_meta.csv: 6114 speakers" in said
    assert "2 of 6114 speakers have no utterance, such as id04170" in said
    assert "data/dev: 50 speakers" in said
    lines = (real_meta / "vox2_meta.csv").read_text(encoding="utf-8").splitlines()
    for_tests = {line.split("\t")[1].strip() for line in lines if "\ttest" in line}
    ours, theirs = (
        {video for spk in some for video in videos[corpus][spk]}
        for corpus, some in ((1, videos[1]), (2, videos[2].keys() - for_tests))
    )
    shared = read_table(tmp_path / "data/local/shared_videos", 3)
    assert (
        len(for_tests) == 120 and shared.keys() == ours & theirs and len(shared) == 727
    )
    found = [
        set(read_table(tmp_path / f"data/{name}/utt2session").values())
        for name in ("train", "dev")
    ]
    assert found[0] | found[1] == theirs - ours


# --- what cannot work


@pytest.fixture
def small(tmp_path):
    """Metadata in small: six speakers, 24 utterances."""
    lines = [f"{'/'.join(names)} 5.5\n" for names in utterances(SPEAKERS1)]
    (tmp_path / "dur").write_text("".join(lines))
    (tmp_path / "meta").write_text(meta1(SPEAKERS1))
    return tmp_path


def only_data(recipe, folder, *words, code=0):
    return run(
        recipe, "local/prepare_data.sh", "--metadata-only", "true", "--utt2dur",
        str(folder / "dur"), "--meta", str(folder / "meta"), *words,
        str(folder / "data"), code=code,
    ).stdout  # fmt: skip


def test_metadata_may_be_untidy(recipe, small):
    text = meta1(SPEAKERS1[1:]).replace("\t", " \t ").replace("\n", " \r\n")
    (small / "meta").write_text(f"\ufeff{text}\r\n", encoding="utf-8", newline="")
    with open(small / "meta", "a", encoding="utf-8") as stream:
        stream.write("id19999\tŽydrūnas\tm\tNew  Zealand\tdev")
    said = only_data(recipe, small, code=1)
    assert "4 of 24 were dropped, more than --max-fail-ratio 0.05" in said
    said = only_data(recipe, small, "--max-fail-ratio", "0.2")
    assert "24 in, 20 out, 4 dropped" in said
    assert "1 of 6 speakers have no utterance, such as id19999" in said
    utt = f"id10001-{VIDEOS[0]}-00001"
    dropped = (small / "data/local/dropped").read_text().splitlines()
    assert len(dropped) == 4
    assert f"{utt} no row of speaker id10001 in {small}/meta" in dropped
    gender = (small / "data/test/spk2gender").read_text()
    assert gender == "".join(f"id1000{n} {'fm'[n % 2]}\n" for n in range(2, 7)).replace(
        "f", "x"
    ).replace("m", "f").replace("x", "m")
    before = digests(small / "data")
    only_data(recipe, small, "--max-fail-ratio", "0.2")
    assert digests(small / "data") == before


def test_ages_may_have_any_published_form(recipe, small):
    """Of the first video; a change of form is a change of nothing else."""
    spk_videos = [(spk, VIDEOS[0]) for spk in SPEAKERS1]
    np.save(small / "ages.npy", {"-".join(pair): 30.5 for pair in spk_videos})
    lines = [f"{'/'.join(pair)}/00001 30.5\n" for pair in spk_videos]
    (small / "utt2age.test").write_text("".join(lines))
    lines = ["who,which,years\n", *(f"{spk},{v},30.5\n" for spk, v in spk_videos)]
    (small / "ages.csv").write_text("".join(lines))
    for name in ("ages.npy", "utt2age.test", "ages.csv"):
        said = only_data(
            recipe, small, "--ages", str(small / name), "--max-fail-ratio", "0.5",
            "--ages-columns", "who,which,years",
        )  # fmt: skip
        assert "24 in, 12 out, 12 dropped" in said
        ages = read_floats(small / "data/test/utt2age")
        assert len(ages) == 12 and set(ages.values()) == {30.5}
    (small / "data/test/wav.scp").write_text("a b\n")
    assert "has recordings: lists of them are" in only_data(recipe, small, code=1)


def test_bad_metadata_is_refused_by_line(recipe, small):
    good = meta1(SPEAKERS1).splitlines()
    for bad, message in (
        (
            good[0].replace("Set", "Part"),
            ":1: expected one column 'Set', found 0: is it",
        ),
        ("id10007\tA\tm\tUSA", ":8: expected 5 fields, found 4: 'id10007"),
        ("id1007\tA\tm\tUSA\tdev", ":8: 'id1007' is not id and five digits"),
        ("id10007\tA\tx\tUSA\tdev", ":8: gender 'x' is not m or f"),
        ("id10007\tA\tm\tUSA\tall", ":8: set 'all' is not dev or test"),
        ("id10007\tA\tm\t \tdev", ":8: no nationality of id10007"),
        (good[1], ":8: speaker 'id10001' stands twice"),
    ):
        lines = [bad] if "Part" in bad else [*good, bad]
        (small / "meta").write_text("\n".join([*lines, ""]))
        said = run(
            recipe, "local/make_data_dirs.py", str(small / "meta"),
            str(small / "dur"), str(small / "data"), code=1,
        ).stdout  # fmt: skip
        assert f"{small}/meta{message}" in said


def test_bad_durations_are_refused_by_line(recipe, small):
    for bad, message in (
        ("id10001/v 1", ": expected '<speaker>/<video>/<utterance> <seconds>'"),
        ("id10001/v/1 0", ": 0 s is not above 0"),
        ("id10001/v/1 1\nid10001/v/1 2", ": id10001/v/1 stands twice"),
    ):
        (small / "dur").write_text(bad)
        said = only_data(recipe, small, code=1)
        assert f"/utt2dur:{1 + bad.count(chr(10))}{message}" in said


def test_what_is_missing_is_named(recipe, corpora, tmp_path):
    def refused(*words, code=1):
        return run(recipe, "./run.sh", *words, code=code).stdout

    assert "give ./run.sh --vox1 DIR --vox2 DIR, or --metadata" in refused()
    said = refused("--metadata-only", "true", "--utt2dur", "x")
    assert "give --utt2dur FILE and --meta vox1_meta.csv" in said
    said = refused("--vox1", str(tmp_path), "--vox2", str(corpora / "vox 2"))
    assert f"no {tmp_path}/vox1_meta.csv: name it with --meta" in said
    said = refused("--metadata-only", "true", "--stage", "3")
    assert "stages 3 to 7 need recordings" in said
    assert "--vox1 needs a value" in refused("--vox1", "--vox2", "x", code=2)
    assert "--dev-speakers 6: of 6 speakers" in start(
        recipe, corpora, "--dev-speakers", "6", code=1
    )
    done = run(recipe, "./run.sh", "--help").stdout
    assert "--official-lists" in done and "../../run.sh --help" in done
