"""The face in a picture, found by YuNet.

Wu, Peng and Yu, "YuNet: A tiny millisecond-level face detector" (Machine Intelligence
Research, 2023). The user gives the network's .onnx file; OpenCV runs it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chronovox.checkpoints.protobuf import Damaged, messages
from chronovox.cli import UserError
from chronovox.faces.pictures import cv2

LONGEST_SIDE = 640  # larger pictures are searched in this size
_OVERLAP = 0.3  # of two boxes that are taken for one face
_NUM_CANDIDATES = 5000
# Fields: graph, input, type, tensor_type, shape; of that, a size; its name or number.
_INPUT_SHAPE, _DIM = (7, 11, 2, 1, 2), 1
_NAMED, _NUMBERED = b"\x12", 0x08


def with_known_input(onnx: bytes, side: int) -> bytearray:
    """A network in ONNX, the sizes of whose input are numbers where they were names.

    OpenCV 4 reads no others; the network may still be given pictures of any size. A
    size `(B, C, H, W)` is written over its name, as a number of as many bytes. Numbers
    of fields are those of onnx.proto. Raises Damaged.
    """
    network = bytearray(onnx)
    for shape in messages(memoryview(network), *_INPUT_SHAPE):
        sizes = (1, 3, side, side)
        for size, dim in zip(sizes, messages(shape, _DIM), strict=False):
            last = len(dim) - 2
            if dim[:1] == _NAMED and last >= 0 and size >> 7 * last < 128:
                digits = [size >> 7 * n & 127 | 128 for n in range(last)]
                dim[:] = bytes([_NUMBERED, *digits, size >> 7 * last])
    return network


@dataclass(frozen=True)
class Face:
    """box: x, y, width, height; landmarks `(5, 2)`: x, y of both eyes, the nose and the
    corners of the mouth, those on the left of the picture first. In pixels.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


class Detector:
    """Finds the largest face. min_score: from 0 to 1, what counts as a face.

    Raises UserError if `path` is no such network.
    """

    def __init__(self, path, min_score: float):
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file: name YuNet's .onnx")
        try:
            onnx = with_known_input(Path(path).read_bytes(), LONGEST_SIDE)
            self._network = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(onnx, np.uint8), np.empty(0, np.uint8),
                (LONGEST_SIDE, LONGEST_SIDE), min_score, _OVERLAP, _NUM_CANDIDATES,
            )  # fmt: skip
            self._detect(np.zeros((64, 64, 3), np.uint8))  # fails for another network
        except (Damaged, cv2.error) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}: OpenCV cannot read it ({reason}): name YuNet's .onnx"
            ) from None

    def largest(self, picture: np.ndarray) -> Face:
        """The face with the largest box in a picture `(H, W, 3)`, BGR.

        Raises UserError if there is none.
        """
        height, width = picture.shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if scale < 1:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        rows = self._detect(picture)
        if rows is None:
            raise UserError("no face found")
        row = max(rows, key=lambda row: row[2] * row[3])
        points = row[:14].astype(np.float64).reshape(7, 2) * [width, height] / size
        return Face(points[:2].ravel(), points[2:], float(row[14]))

    def _detect(self, picture: np.ndarray) -> np.ndarray | None:
        """Box, landmarks and score of each face `(N, 15)`, if there is one."""
        self._network.setInputSize(picture.shape[1::-1])
        return self._network.detect(picture)[1]
