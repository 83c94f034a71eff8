"""Valid files that the fuzz begins with, and payloads that must never run."""

import functools
import gzip
import hashlib
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import soundfile
from kaldiio import matio

MARKER = "FUZZ_RAN"


class Trap:
    """Unpickled as code, it makes the folder MARKER."""

    def __reduce__(self):
        return os.mkdir, (MARKER,)


PICKLES = tuple(pickle.dumps({"network": Trap()}, version) for version in (0, 2, 4))
TRAPS = (
    f"touch {MARKER} |".encode(),
    f"|touch {MARKER}".encode(),
    f"$(touch {MARKER})".encode(),
    f"`touch {MARKER}`".encode(),
    f"; touch {MARKER};".encode(),
    f"!!python/object/apply:os.mkdir [{MARKER}]".encode(),
    b"PKL" + PICKLES[1],
)
ARK_TOKENS = (
    b"a ", b"b ", b"\0B", b"FM ", b"FV ", b"DM ", b"DV ", b"CM ", b"CM2 ", b"CM3 ",
    b"\4",
    *(b"\4" + struct.pack("<i", n) for n in (0, 1, 2, 3, -1, 2**31 - 1, -(2**31))),
    *(struct.pack("<i", n) for n in (0, 1, 2, 3, -1, 2**31 - 1)), bytes(8), bytes(32),
)  # fmt: skip
AUDIO_TOKENS = (
    b"RIFF", b"WAVE", b"fmt ", b"data", b"fLaC", b"OggS", b"ID3", b"\xff\xfb",
    b"ftypM4A ",
    b"moov", b"a ", bytes(4), struct.pack("<I", 16), struct.pack("<HHI", 1, 1, 16000),
    b"#EXTM3U\n", b"ffconcat version 1.0\nfile x.wav\n", b"\xff\xff\xff\xff",
    b"\x93NUMPY",
)  # fmt: skip
PICKLE_TOKENS = (
    *PICKLES,
    b"PK\3\4",
    b"PK\5\6",
    b"data.pkl",
    b"\x80\2}",
    b".",
    b"cos\nsystem\n",
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


def scps() -> tuple[bytes, ...]:
    return (
        b"a-1 /audio/a-1.wav\na-2 /audio/with blank.wav\nb-1 /ark/x.ark:123\n",
        b"a-1 x.ark:2[0:5]\nb-1 x.ark:40[:,1:2]\nb-2 cat x.wav |\n",
    )


def _record(array: np.ndarray, method=None, key: bytes = b"a") -> bytes:
    stream = io.BytesIO()
    matio.write_array(stream, array, "<", method)
    return key + b" " + stream.getvalue()


RNG = np.random.default_rng(1)
MATRIX = RNG.normal(size=(6, 4)).astype(np.float32)


def _npy(array, allow_pickle=False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


@functools.cache
def numpy_files() -> tuple[bytes, ...]:
    """An array, an object array that would run code, and an archive of it."""
    trap = np.array([Trap()], object)
    stream = io.BytesIO()
    np.savez(stream, a=trap)
    return _npy(MATRIX), _npy(trap, True), stream.getvalue()


AGE_TOKENS = (
    *PICKLE_TOKENS, b"\x8c\x03a-1", b"K\x14", b"G@4\0\0\0\0\0\0", b"\x94", b"}", b"]",
    b"(", b"u", b"a", b"t", b"\x85", b"\x86", b"R", b"b", b"h\2", b"j\xff\xff\xff\x7f",
    b"r\xff\xff\xff\x7f", b"\x8e\xff\xff\xff\xff\xff\0\0\0", b"\x93",
    b"\x8b\xff\xff\xff\x7f",
)  # fmt: skip


@functools.cache
def age_pickles() -> tuple[bytes, ...]:
    """Dictionaries of ages as numpy saves them, and others that would run code."""
    plain = {"a-1": 20.5, "a-2": np.float32(31), "b/1": 45, "z-1": np.float64(50)}
    files = [_npy(np.array(ages, object), True) for ages in (plain, {"a-1": Trap()})]
    pickles = [pickle.dumps(np.array(plain, object), version) for version in (2, 3)]
    return (*files, *(files[0][:128] + content for content in pickles))


@functools.cache
def vector_arks() -> tuple[bytes, ...]:
    return (
        _record(MATRIX[0]) + _record(MATRIX[1], key=b"b"),
        _record(MATRIX[0].astype(np.float64)),
        _record(np.arange(5, dtype=np.int32)),
        b"a PKL" + PICKLES[1],
        b"a " + numpy_files()[1],
    )


@functools.cache
def matrix_arks() -> tuple[bytes, ...]:
    double = _record(MATRIX.astype(np.float64))
    two = _record(MATRIX) + _record(MATRIX[:2], key=b"b")
    return two, double, b"a PKL" + PICKLES[1]


@functools.cache
def compressed_arks() -> tuple[bytes, ...]:
    return tuple(_record(MATRIX * 3, method) for method in (2, 3, 5))


@functools.cache
def audio(kind: str) -> tuple[bytes, ...]:
    """Short recordings of a kind; `ark` holds wav and FLAC behind a key."""
    wave = (RNG.normal(size=400) * 0.1).clip(-0.9, 0.9).astype(np.float32)
    if kind == "ark":
        return tuple(b"a " + audio(form)[0] for form in ("wav", "flac"))
    if kind == "m4a":
        return (_m4a(np.tile(wave, 12)),)
    wave = wave if kind in ("wav", "flac") else np.tile(wave, 8)
    forms = {
        "wav": (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "ULAW"),
                ("WAVEX", "PCM_16")),
        "flac": (("FLAC", "PCM_16"),), "ogg": (("OGG", "VORBIS"), ("OGG", "OPUS")),
        "mp3": (("MP3", "MPEG_LAYER_III"),),
    }[kind]  # fmt: skip
    files = []
    for form, subtype in forms:
        stream = io.BytesIO()
        soundfile.write(stream, wave, 16000, subtype, format=form)
        files.append(stream.getvalue())
    return tuple(files)


def _m4a(wave: np.ndarray) -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        output = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        for part in (frame, None):
            container.mux(output.encode(part))
    return stream.getvalue()


@functools.cache
def checkpoints() -> tuple[bytes, ...]:
    """A state, code in both of torch's formats, a plain pickle, and numpy's files."""
    import torch

    state = {
        "step": 3, "fingerprint": "f", "network": {"w": torch.ones(2, 3)},
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "groups": [1, 2.5]},
    }  # fmt: skip
    trap = {**state, "network": Trap()}
    files = []
    for content, is_zip in ((state, True), (trap, True), (trap, False), (state, False)):
        stream = io.BytesIO()
        torch.save(content, stream, _use_new_zipfile_serialization=is_zip)
        files.append(stream.getvalue())
    with zipfile.ZipFile(io.BytesIO(files[0])) as archive:
        inner = archive.read("archive/data.pkl")
    return (*files, inner, inner, PICKLES[1], *numpy_files())


def as_checkpoint(content: bytes) -> bytes:
    """Bytes as the pickle of a checkpoint that is whole otherwise."""
    whole, changed = io.BytesIO(checkpoints()[0]), io.BytesIO()
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w") as new:
        for part in old.infolist():
            is_pickle = part.filename.endswith("data.pkl")
            new.writestr(part.filename, content if is_pickle else old.read(part))
    return changed.getvalue()


@functools.cache
def caffemodels() -> tuple[bytes, ...]:
    """Both generations, and values as doubles."""
    from caffe_files import caffemodel, net_parameter

    layers = {"conv1_1": [MATRIX.reshape(2, 3, 2, 2), MATRIX[0]], "fc8-101": [MATRIX]}
    net = net_parameter()()
    net.layer.add(name="a").blobs.add(double_data=[1.0, 2.0], shape={"dim": [2]})
    return caffemodel(layers, 1), caffemodel(layers, 2), net.SerializeToString()


@functools.cache
def plda_models() -> tuple[bytes, ...]:
    """Text and binary, in single and in double precision."""
    parts = [
        np.array([1.0, -2.0]),
        np.array([[2.0, 0.5], [0, 1.0]]),
        np.array([3, 0.5]),
    ]
    text = b"<Plda>  [ 0.5 -1.25 ]\n [\n  2 0.125\n  -0.5 1 ]\n [ 3.5 0.25 ]\n</Plda> "
    models = [text]
    for kind, size in (("F", "<f4"), ("D", "<f8")):
        body = b""
        for part in parts:
            dims = b"".join(b"\4" + np.int32(n).tobytes() for n in part.shape)
            letter = "V" if part.ndim == 1 else "M"
            body += f"{kind}{letter} ".encode() + dims + part.astype(size).tobytes()
        models.append(b"\0B<Plda> " + body + b"</Plda> ")
    return tuple(models)


PLDA_TOKENS = (
    b"<Plda>", b"</Plda>", b"\0B", b"DV ", b"FM ", b"\4\2\0\0\0", b"\4\0\0\0\x80",
    b"[", b"]", b"1e400", b"nan", b"-0.0 ", bytes(8),
)  # fmt: skip

CAFFE_TOKENS = (
    b"\x12", b"\x22", b"\x32", b"\x3a", b"\x2a", b"\x42", b"\xa2\x06", b"\x0a\x01a",
    b"\x08", b"\x01", b"\x04", b"\x7f", b"\xff\xff\xff\xff\x0f",
    b"\x80" * 9 + b"\x01", bytes(8),
)  # fmt: skip


@functools.cache
def pictures() -> tuple[bytes, ...]:
    from chronovox.faces.pictures import cv2  # with its limit to the size

    picture = cv2.resize(
        np.uint8(128 + 40 * MATRIX[:, :3, None].repeat(3, 2)), (24, 20)
    )
    kinds = (".jpg", ".png", ".bmp", ".ppm", ".webp")
    return tuple(cv2.imencode(kind, picture)[1].tobytes() for kind in kinds)


PICTURE_TOKENS = (
    b"\xff\xd8", b"\xff\xd9", b"\xff\xda", b"\x89PNG\r\n\x1a\n", b"IHDR", b"IDAT",
    b"IEND", b"BM", b"P6 ", b"P5 ", b"65535 ", b"2 ", b"255\n", b"RIFF",
    b"WEBPVP8 ", bytes(16),
)  # fmt: skip


def onnx_networks() -> tuple[bytes, ...]:
    """A name and a number as sizes of the input, and nothing else."""
    shape = b"\x0a\x07\x12\x05batch\x0a\x02\x08\x03"
    for number, extra in ((2, b"\x08\x01"), (1, b""), (2, b"\x0a\x01x"), (11, b"")):
        shape = extra + bytes([number << 3 | 2, len(shape)]) + shape
    return (b"\x08\x06" + bytes([7 << 3 | 2, len(shape)]) + shape,)


def training_settings() -> tuple[bytes, ...]:
    return (
        b"model: {type: xvector, width: 16, pool_dim: 24, embed_dim: 12}\n"
        b"batch_size: 8\nchunk_frames: [20, 30]\nseed: 3\naugment:\n  prob: 0.5\n"
        b"  babble: {num_speakers: [1, 2]}\nmask: {time_masks: 2}\n",
        b"model: {type: resnet, channels: 4, blocks: [1, 1, 1, 1], embed_dim: 8}\n",
    )
