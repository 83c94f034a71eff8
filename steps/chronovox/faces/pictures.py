"""Pictures and faces in them: arrays `(H, W, 3)` uint8, BGR as OpenCV has them."""

import os
from pathlib import Path

import numpy as np

from chronovox.cli import UserError
from chronovox.kaldi_io import open_file

MAX_PIXELS = 2**26  # 8192 x 8192: a damaged header must not ask for all the memory
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))

import cv2  # noqa: E402  # it reads the limit when it is loaded

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # errors are raised

# Where eyes, nose and corners of the mouth, those on the left of the picture first, go
# in a square of 112 pixels: Deng et al., "ArcFace" (CVPR 2019), as published with it.
TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [
        [38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
        [41.5493, 92.3655], [70.7299, 92.2041],
    ]
)  # fmt: skip
_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"


def read_picture(path) -> np.ndarray:
    """A picture in any format that OpenCV reads: `(H, W, 3)` uint8, BGR.

    Raises UserError if it is missing, cut off or none.
    """
    try:
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file")
        with open_file(path) as stream:
            data = stream.read()
    except (OSError, ValueError) as error:
        raise UserError(f"{path!r}: cannot be read: {error}") from None
    if _is_cut_off(data):
        raise UserError(f"{path}: the picture is cut off")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise UserError(f"{path}: no picture that can be read ({error.err})") from None
    if picture is None:
        raise UserError(f"{path}: no picture that can be read")
    return picture


def jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    """A picture as a JPEG file."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG is, which OpenCV does not say.

    The rest of a JPEG it greys, and for a part of a PNG that says it is of 3 GB it
    takes them, before it looks whether they are there.
    """
    if data.startswith(_JPEG):
        return data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    if data.startswith(_PNG):
        place = len(_PNG)
        while place < len(data) and data[place + 4 : place + 8] != b"IEND":
            place += 12 + int.from_bytes(data[place : place + 4], "big")
        return place + 12 > len(data)
    return False


def cut(picture: np.ndarray, box, margin: float) -> np.ndarray:
    """The box `(x, y, width, height)`, in pixels, of a picture, and a margin around it.

    margin: the part of width and height added on every side, 0.4 in DEX (Rothe et
    al., ICCV workshops 2015). Beyond the picture its outermost pixels are repeated.
    Raises UserError for a box of less than a pixel.
    """
    x, y, width, height = (float(value) for value in box)
    columns = _span(x, width, margin, picture.shape[1])
    rows = _span(y, height, margin, picture.shape[0])
    return picture[np.ix_(rows, columns)]


def _span(begin: float, length: float, margin: float, size: int) -> np.ndarray:
    first = round(begin - margin * length)
    last = round(begin + (1 + margin) * length)
    if last <= first:
        raise UserError(f"a face of {length:.1f} pixels: too small")
    return np.clip(np.arange(first, last), 0, size - 1)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture of `size` x `size` pixels, bilinear between those of the given one."""
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)


def aligned(picture: np.ndarray, landmarks, size: int, margin: float) -> np.ndarray:
    """The face turned upright and scaled so that its landmarks come to TEMPLATE.

    landmarks `(5, 2)`: x and y in pixels, in the order of TEMPLATE. The result has
    `size` x `size` pixels; margin widens the square on every side, beyond the picture
    its outermost pixels are repeated. Raises UserError if the points coincide.
    """
    target = (TEMPLATE + 0.5) / TEMPLATE_SIZE
    target = (target + margin) / (1 + 2 * margin) * size - 0.5
    return cv2.warpAffine(
        picture, similarity(np.asarray(landmarks, np.float64), target), (size, size),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The matrix `(2, 3)` that turns, scales and moves points `(N, 2)` to others.

    Least squares: over complex numbers z -> w this is the regression w = a z + b.
    Raises UserError if the points coincide.
    """
    z, w = source @ [1, 1j], target @ [1, 1j]
    centred = z - z.mean()
    spread = np.vdot(centred, centred).real
    if not 0 < spread < np.inf:
        raise UserError("the landmarks of the face coincide")
    a = np.vdot(centred, w) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
