"""Recordings: every way of naming them, and every way in which they can be bad."""

import io
import os
import struct

import av
import numpy as np
import pytest
import soundfile
from data_dirs import make_data_dir, noise, set_utts

from chronovox import audio, kaldi_io
from chronovox.audio import WavTable, read_file
from chronovox.cli import UserError
from chronovox.datadir import read_segments, write_table

SUBTYPES = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", None)}


def save(path, samples, rate=16000, subtype=None):
    form, default = SUBTYPES.get(path.suffix[1:], (None, None))
    soundfile.write(path, samples, rate, format=form, subtype=subtype or default)
    return path


def read_one(folder, rxfile, **options):
    data = make_data_dir(folder / "data", {"a-1": str(rxfile)})
    return WavTable(data, **options).read("a-1", 16000)


def assert_refused(folder, rxfile, *words):
    with pytest.raises(UserError) as caught:
        read_one(folder, rxfile)
    message = str(caught.value)
    for word in ("a-1", str(rxfile), *words):
        assert word in message
    return message


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3"])
def test_formats(tmp_path, suffix):
    integers = np.round(noise(20000) * 32768).astype(np.int16)
    path = save(tmp_path / f"x.{suffix}", integers)
    read, rate = read_one(tmp_path, path)
    assert read.dtype == np.float32 and read.shape == (20000,) and rate == 16000
    if suffix in ("wav", "flac"):
        np.testing.assert_array_equal(read * 32768, integers)


def test_sixteen_bit_samples_are_exact(tmp_path):
    integers = np.array([-32768, -1, 0, 1, 32767], np.int16)
    read, _ = read_one(tmp_path, save(tmp_path / "x.wav", integers))
    np.testing.assert_array_equal(read * 32768, integers.astype(np.float32))


def test_utterances_come_sorted(tmp_path):
    path = save(tmp_path / "x.wav", noise(100))
    data = make_data_dir(tmp_path / "data", dict.fromkeys(("b-1", "a-2"), str(path)))
    table = WavTable(data)
    assert list(table) == ["a-2", "b-1"] and len(table) == 2 and "a-2" in table
    with pytest.raises(UserError, match="no utterance 'c-1'"):
        table.read("c-1")


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_records_in_an_ark(tmp_path, form):
    waves, entries = {}, {}
    with open(tmp_path / "a.ark", "wb") as ark:
        for seed, utt in enumerate(("a-1", "a-2", "a-3")):
            waves[utt] = np.round(noise(5000 + seed, seed) * 32768).astype(np.int16)
            record = io.BytesIO()
            soundfile.write(record, waves[utt], 16000, format=form)
            ark.write(f"{utt} ".encode())
            entries[utt] = f"{tmp_path}/a.ark:{ark.tell()}"
            ark.write(record.getvalue())
    table = WavTable(make_data_dir(tmp_path / "data", entries))
    for utt, wave in waves.items():
        np.testing.assert_array_equal(table.read(utt)[0] * 32768, wave)
    assert_refused(tmp_path, f"{tmp_path}/a.ark:3", "no RIFF or FLAC record")


def test_wav_record_cut_off_in_an_ark(tmp_path):
    record = io.BytesIO()
    soundfile.write(record, noise(5000), 16000, format="WAV")
    (tmp_path / "a.ark").write_bytes(b"a-1 " + record.getvalue()[:-100])
    assert_refused(tmp_path, f"{tmp_path}/a.ark:4", "truncated: 100 bytes")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_segments_are_rounded_as_by_kaldi(tmp_path, suffix):
    path = save(tmp_path / f"x.{suffix}", noise(64000))
    data = make_data_dir(tmp_path / "data", {"reco": str(path)})
    spans = {"a-1": (0, 1), "a-2": (1.1, 2.00009), "a-3": (3.2, 4.4999)}
    segments = {utt: f"reco {start} {end}" for utt, (start, end) in spans.items()}
    write_table(data / "segments", segments)
    set_utts(data, spans)
    whole, _ = soundfile.read(path, dtype="float32")
    table = WavTable(data)
    assert list(table) == list(spans)
    # Rounded down; an end less than half a second behind the recording is cut.
    expected = {"a-1": (0, 16000), "a-2": (17600, 32001), "a-3": (51200, 64000)}
    for utt, (first, last) in expected.items():
        np.testing.assert_array_equal(table.read(utt)[0], whole[first:last])


@pytest.mark.parametrize("span", ["4 4.2", "0 4.5", "1 1.00001"])
def test_segment_beyond_the_recording(tmp_path, span):
    path = save(tmp_path / "x.wav", noise(64000))
    data = make_data_dir(tmp_path / "data", {"reco": str(path)})
    write_table(data / "segments", {"a-1": f"reco {span}"})
    with pytest.raises(UserError, match="a-1: .*x.wav.*beyond.* of 4 s.*`segments`"):
        WavTable(data).read("a-1")


def test_segment_of_an_unknown_recording(tmp_path):
    data = make_data_dir(tmp_path / "data", {"reco": "x.wav"})
    write_table(data / "segments", {"a-1": "other 0 1"})
    with pytest.raises(UserError, match="segments: a-1: no 'other' in .*wav.scp"):
        WavTable(data)


def test_pipes_run_only_if_allowed(tmp_path):
    path = save(tmp_path / "x.wav", noise(3000))
    command = f"cat {path} |"
    assert_refused(tmp_path, command, "wav.scp", "--allow-pipes true")
    assert len(read_one(tmp_path, command, allow_pipes=True)[0]) == 3000
    with pytest.raises(UserError, match="'false' ended with code 1"):
        read_one(tmp_path, "false |", allow_pipes=True)
    with pytest.raises(UserError, match="printed nothing"):
        read_one(tmp_path, "true |", allow_pipes=True)


def test_header_of_a_program_that_streams(tmp_path):
    data = bytearray(save(tmp_path / "x.wav", noise(3000)).read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "x.wav").write_bytes(data)
    assert len(read_one(tmp_path, tmp_path / "x.wav")[0]) == 3000


def test_missing_file(tmp_path):
    assert_refused(tmp_path, tmp_path / "x.wav", "no such file", "wav.scp")
    assert_refused(tmp_path, tmp_path, "a directory")


def test_file_that_cannot_be_opened(tmp_path):
    path = save(tmp_path / "x.wav", noise(100))
    assert_refused(tmp_path, path / "y.wav", "Not a directory", "wav.scp")
    assert_refused(tmp_path, tmp_path / ("x" * 300), "File name too long", "wav.scp")
    assert_refused(tmp_path, f"{tmp_path}/x\0.wav", "correct wav.scp")
    assert_refused(tmp_path, f"{path}:99999999999999999999", "lies beyond any file")
    loop = tmp_path / "loop.wav"
    loop.symlink_to(loop)
    assert_refused(tmp_path, loop, "cannot be read", "wav.scp")


def test_file_without_permission(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    table = WavTable(make_data_dir(tmp_path / "data", {"a-1": "x.wav"}))
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UserError, match="a-1: x.wav: no permission .*chmod"):
        table.read("a-1")


def test_headerless_file(tmp_path):
    (tmp_path / "x.raw").write_bytes(bytes(range(256)))
    assert_refused(tmp_path, tmp_path / "x.raw", ".raw", "convert it to wav")


def test_range_of_a_recording(tmp_path):
    path = save(tmp_path / "x.wav", noise(100))
    assert_refused(tmp_path, f"{path}[0:10]", "a range", "use `segments`")


def test_whole_file_with_its_channels(tmp_path):
    waves = np.stack([noise(3000, 1), noise(3000, 2)], 1)
    path = save(tmp_path / "x.wav", waves, rate=48000, subtype="FLOAT")
    samples, rate = read_file(path)
    np.testing.assert_array_equal(samples, waves)
    assert rate == 48000 and samples.dtype == np.float32
    assert read_file(save(tmp_path / "y.wav", noise(100)))[0].shape == (100, 1)
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(UserError, match="truncated: 800 bytes"):
        read_file(path)
    waves[7, 1] = np.nan
    with pytest.raises(UserError, match="NaN"):
        read_file(save(tmp_path / "x.wav", waves, subtype="FLOAT"))
    with pytest.raises(UserError, match="silent"):
        read_file(save(tmp_path / "x.wav", np.zeros((100, 2))))


def test_empty_file(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    assert_refused(tmp_path, tmp_path / "x.wav", "empty file (0 bytes)")


def test_no_samples(tmp_path):
    path = save(tmp_path / "x.wav", noise(0))
    assert_refused(tmp_path, path, "empty: 0 samples")


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_truncated_file(tmp_path, suffix, share):
    path = save(tmp_path / f"x.{suffix}", noise(64000))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    message = assert_refused(tmp_path, path, "copy it again")
    assert any(word in message for word in ("truncated", "damaged", "empty"))


def test_flac_that_ends_with_a_whole_block(tmp_path):
    """libsndfile returns what there is, short, without an error."""
    path = save(tmp_path / "x.flac", noise(4096 * 3))
    short = save(tmp_path / "short.flac", noise(4096 * 3)[: 4096 * 2])
    data, blocks = path.read_bytes(), short.read_bytes()
    header = data.index(b"\xff\xf8")  # the first frame
    assert data[header : header + 4] == blocks[header : header + 4]
    path.write_bytes(data[:header] + blocks[header:])
    assert_refused(tmp_path, path, "copy it again")


def test_flac_without_its_length(tmp_path):
    data = bytearray(save(tmp_path / "x.flac", noise(3000)).read_bytes())
    data[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    data[22:26] = bytes(4)
    (tmp_path / "x.flac").write_bytes(data)
    assert_refused(tmp_path, tmp_path / "x.flac", "does not tell its length")


def test_silent_file(tmp_path):
    path = save(tmp_path / "x.wav", np.zeros(16000, np.float32))
    assert_refused(tmp_path, path, "silent: all 16000 samples are 0")


def test_one_sample_is_read(tmp_path):
    samples, _ = read_one(tmp_path, save(tmp_path / "x.wav", np.array([0.5])))
    np.testing.assert_array_equal(samples, [0.5])


def test_stereo_file(tmp_path):
    path = save(tmp_path / "x.wav", np.stack([noise(100), noise(100)], 1))
    assert_refused(tmp_path, path, "2 channels", "remix 1")


def test_other_sampling_rate(tmp_path):
    path = save(tmp_path / "x.wav", noise(8000), rate=8000)
    assert_refused(tmp_path, path, "8000 Hz", "16000 Hz", "resample")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, value):
    samples = noise(100)
    samples[50] = value
    path = save(tmp_path / "x.wav", samples, subtype="FLOAT")
    assert_refused(tmp_path, path, "NaN or infinite")


@pytest.mark.parametrize("content", [b"no audio at all\n" * 50, b"\0", b"RIFF"])
def test_file_that_is_no_audio(tmp_path, content):
    (tmp_path / "x.wav").write_bytes(content)
    assert_refused(tmp_path, tmp_path / "x.wav", "no audio in wav, flac")


def test_duplicate_key(tmp_path):
    data = make_data_dir(tmp_path, {"a-1": "x.wav"})
    (data / "wav.scp").write_text("a-1 x.wav\na-1 y.wav\n")
    with pytest.raises(UserError, match="wav.scp:2: duplicate key 'a-1'"):
        WavTable(data)


def test_the_digest_is_that_of_the_segments(tmp_path):
    data = make_data_dir(tmp_path, {"r": "x.wav"})
    assert WavTable(data).digest() == b"None"
    (data / "segments").write_text("a r 0.1 1.50\nb r 1e-7 12.345678901234567\n")
    table = WavTable(data)
    assert table.digest() == repr(read_segments(data / "segments")).encode()
    assert list(table) == list(table.utts) == ["a", "b"]
    with pytest.raises(UserError, match="no utterance 'r'"):
        table.read("r")


def test_unsorted_table(tmp_path):
    data = make_data_dir(tmp_path, {"a-1": "x.wav"})
    (data / "wav.scp").write_text("b-1 x.wav\na-1 y.wav\n")
    with pytest.raises(UserError, match="wav.scp:2: key 'a-1' is out of order"):
        WavTable(data)


# --- m4a, by FFmpeg


def save_m4a(path, samples, rate=16000, layout="mono"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout, bit_rate=128000)
        frame = av.AudioFrame.from_ndarray(
            np.atleast_2d(samples).astype(np.float32), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize("num_samples", [16000, 20480, 47840])
def test_m4a_without_its_padding(tmp_path, num_samples):
    time_s = np.arange(num_samples) / 16000
    sweep = 0.5 * np.sin(2 * np.pi * (200 + 300 * time_s) * time_s)
    samples = read_one(tmp_path, save_m4a(tmp_path / "x.m4a", sweep))[0]
    assert samples.shape == (num_samples,) and samples.dtype == np.float32
    middle = slice(2048, -2048)
    assert np.corrcoef(samples[middle], sweep[middle])[0, 1] > 0.999
    moved = np.corrcoef(samples[2048:-2048], sweep[2049:-2047])[0, 1]
    assert moved < np.corrcoef(samples[middle], sweep[middle])[0, 1]


def test_segments_of_an_m4a(tmp_path):
    wave = 0.3 * np.sin(np.arange(48000) / 20)
    path = save_m4a(tmp_path / "x.m4a", wave)
    data = make_data_dir(tmp_path / "data", {"r": str(path)})
    (data / "segments").write_text("r-1 r 0.5 1.25\n")
    whole = read_one(tmp_path / "whole", path)[0]
    np.testing.assert_array_equal(WavTable(data).read("r-1")[0], whole[8000:20000])


def test_bad_m4a_is_named(tmp_path):
    good = save_m4a(tmp_path / "x.m4a", 0.1 * noise(32000)).read_bytes()
    (tmp_path / "text.m4a").write_text("no audio at all\n")
    (tmp_path / "cut.m4a").write_bytes(good[: len(good) // 2])
    for name in ("text", "cut"):
        assert_refused(tmp_path, f"{tmp_path}/{name}.m4a", "damaged, or no audio in")
    (tmp_path / "empty.m4a").touch()
    assert_refused(tmp_path, f"{tmp_path}/empty.m4a", "empty file (0 bytes)")
    stereo = save_m4a(
        tmp_path / "two.m4a", np.stack([noise(9000)] * 2), layout="stereo"
    )
    assert_refused(tmp_path, str(stereo), "2 channels: make it mono")


def test_flac_records_keep_sixteen_bits_and_never_clip(tmp_path):
    wave = np.round(noise(5000) * 32768) / 32768
    with kaldi_io.ArkWriter(tmp_path / "a.ark", tmp_path / "a.scp", 1) as writer:
        for utt in ("a-1", "b-1"):
            writer.write_record(utt, audio.flac_record(wave, 16000))
        writer.write_record("c-1", audio.flac_record(8 * wave, 16000))
    entries = dict(
        line.split() for line in (tmp_path / "a.scp").read_text().splitlines()
    )
    table = WavTable(make_data_dir(tmp_path / "data", entries))
    for utt in ("a-1", "b-1"):
        np.testing.assert_array_equal(table.read(utt)[0], wave)
    loud = table.read("c-1")[0]
    assert np.abs(loud).max() == (1.0 if -wave.min() > wave.max() else 32767 / 32768)
    assert np.corrcoef(loud, wave)[0, 1] > 0.99999


def test_header_that_promises_gigabytes(tmp_path):
    data = bytearray(save(tmp_path / "x.flac", noise(3000)).read_bytes())
    data[22:26] = b"\xff\xff\xff\xf0"  # the lower bits of the number of samples
    (tmp_path / "x.flac").write_bytes(data)
    message = "its header promises 4294967280 samples in"
    assert_refused(tmp_path, tmp_path / "x.flac", message)


def test_silence_that_flac_packs_most_is_read(tmp_path):
    samples = np.zeros(2_000_000, np.float32)
    samples[0] = 0.5
    save(tmp_path / "x.flac", samples)
    assert len(read_one(tmp_path, tmp_path / "x.flac")[0]) == len(samples)


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile other.wav\n", "#EXTM3U\n#EXTINF:1,\nother.wav\n"],
)
def test_a_playlist_opens_no_other_file(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "other.wav", noise(3000))
    (tmp_path / "x.m4a").write_text(text)
    assert_refused(tmp_path, tmp_path / "x.m4a", "damaged, or no audio")


def test_a_pipe_named_by_wav_scp_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.wav")
    assert_refused(tmp_path, tmp_path / "x.wav", "cannot be read")
