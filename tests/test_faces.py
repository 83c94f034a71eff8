"""Pictures of faces: read, cut out, turned upright, and searched for faces."""

import cv2
import numpy as np
import pytest
from scipy import ndimage, optimize

from chronovox.cli import UserError
from chronovox.faces import pictures
from chronovox.faces.detection import Detector, with_known_input

RNG = np.random.default_rng(3)


def smooth(height: int, width: int) -> np.ndarray:
    noise = RNG.integers(0, 256, (height, width, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8)


def test_pictures_are_read_in_bgr(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, :, 0] = 200  # blue
    cv2.imwrite(str(tmp_path / "x.png"), picture)
    np.testing.assert_array_equal(pictures.read_picture(tmp_path / "x.png"), picture)
    (tmp_path / "x.pgm").write_bytes(b"P5 2 1 255 \x05\x07")
    grey = pictures.read_picture(tmp_path / "x.pgm")
    assert grey.tolist() == [[[5] * 3, [7] * 3]]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_a_picture_cut_off_is_refused(tmp_path, suffix):
    whole = cv2.imencode(suffix, smooth(60, 50))[1].tobytes()
    path = tmp_path / f"x{suffix}"
    path.write_bytes(whole + b"trailer")
    assert pictures.read_picture(path).shape == (60, 50, 3)
    for share in np.linspace(0, 0.99, 25):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=f"x{suffix}: "):
            pictures.read_picture(path)


def test_a_png_that_asks_for_gigabytes_is_refused(tmp_path):
    content = bytearray(cv2.imencode(".png", smooth(20, 20))[1].tobytes())
    content[33:37] = b"\xc0\x7f\x01\xbd"  # the length of IDAT, behind IHDR
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UserError, match="x.png: the picture is cut off"):
        pictures.read_picture(tmp_path / "x.png")


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    path = tmp_path / "x.ppm"
    path.write_bytes(b"P6 30000 30000 255\n" + bytes(100))
    with pytest.raises(UserError, match="no picture that can be read"):
        pictures.read_picture(path)
    for missing in (tmp_path / "none.png", tmp_path):
        with pytest.raises(UserError, match="no such file"):
            pictures.read_picture(missing)


def test_a_cut_repeats_the_outermost_pixels():
    picture = smooth(20, 30)
    box, margin = (22, -3, 10, 20), 0.4
    found = pictures.cut(picture, box, margin)
    # 22 - 4 to 32 + 4, and -3 - 8 to 17 + 8: numpy's own padding beyond the edges
    padded = np.pad(picture, ((11, 5), (0, 6), (0, 0)), mode="edge")
    np.testing.assert_array_equal(found, padded[0:36, 18:36])
    np.testing.assert_array_equal(pictures.cut(picture, (0, 0, 30, 20), 0), picture)
    with pytest.raises(UserError, match="too small"):
        pictures.cut(picture, (3, 3, 0.1, 5), 0.4)


def test_the_similarity_is_the_best_there_is():
    source, target = RNG.normal(size=(2, 5, 2))

    def error(p):
        moved = source @ [[p[0], p[1]], [-p[1], p[0]]] + p[2:]
        return np.sum((moved - target) ** 2)

    matrix = pictures.similarity(source, target)
    found = [matrix[0, 0], matrix[1, 0], *matrix[:, 2]]
    best = optimize.minimize(error, np.zeros(4), tol=1e-12)
    np.testing.assert_allclose(found, best.x, atol=1e-5)
    with pytest.raises(UserError, match="coincide"):
        pictures.similarity(np.ones((5, 2)), target)


def test_landmarks_come_to_the_template():
    """A face drawn at the template's points, turned and enlarged, comes back."""
    spots = np.zeros((224, 224), np.float32)
    for x, y in pictures.TEMPLATE * 1.3 + 20:
        spots[round(y), round(x)] = 255
    spots = ndimage.gaussian_filter(spots, 3) * 50
    angle = np.deg2rad(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([112.0, 112.0])
    matrix = np.c_[turn, centre - turn @ centre]
    picture = cv2.warpAffine(np.repeat(spots[:, :, None], 3, 2), matrix, (224, 224))
    landmarks = (pictures.TEMPLATE * 1.3 + 20) @ turn.T + matrix[:, 2]
    face = pictures.aligned(picture.astype(np.uint8), landmarks, 112, margin=0)
    for x, y in pictures.TEMPLATE:
        around = face[int(y) - 5 : int(y) + 7, int(x) - 5 : int(x) + 7, 0]
        middle = ndimage.center_of_mass(around) + np.array([int(y) - 5, int(x) - 5])
        np.testing.assert_allclose(middle, (y, x), atol=1)
    wide = pictures.aligned(picture.astype(np.uint8), landmarks, 112, margin=0.5)
    np.testing.assert_allclose(  # the inner half, at half the size
        wide[28:84, 28:84].mean(), face.mean(), rtol=0.1
    )


@pytest.fixture(scope="module")
def detector(shared_data) -> Detector:
    return Detector(shared_data / "weights/YuNet/yunet_n_dynamic.onnx", 0.6)


def test_the_largest_face_is_found(detector, shared_data):
    folder = shared_data / "faces/lfw_subset"
    one = pictures.read_picture(folder / "Tony_Blair/Tony_Blair_0002.jpg")
    two = pictures.read_picture(folder / "Colin_Powell/Colin_Powell_0002.jpg")
    face = detector.largest(one)
    assert face.score > 0.8
    x, y, width, height = face.box
    assert x < 125 < x + width and y < 125 < y + height  # LFW centres its faces
    eyes, nose, mouth = face.landmarks[:2], face.landmarks[2], face.landmarks[3:]
    assert eyes[0, 0] < nose[0] < eyes[1, 0] and mouth[0, 0] < mouth[1, 0]
    assert eyes[:, 1].max() < nose[1] < mouth[:, 1].min()
    both = np.hstack([cv2.resize(one, (125, 125)), np.zeros_like(one[:125])])
    both = np.hstack([np.vstack([both, np.zeros_like(both)]), two])
    large = detector.largest(both)
    assert large.box[0] > 300  # the small one stands on the left
    alone = detector.largest(two)
    np.testing.assert_allclose(large.box[2:], alone.box[2:], rtol=0.1)
    huge = detector.largest(cv2.resize(one, (2000, 2000)))
    np.testing.assert_allclose(huge.box / 8, face.box, atol=10)
    with pytest.raises(UserError, match="no face found"):
        detector.largest(np.zeros((100, 100, 3), np.uint8))


def test_another_network_is_no_detector(shared_data):
    path = shared_data / "weights/MobileFaceNet/MobileFaceNet.onnx"
    with pytest.raises(UserError, match="MobileFaceNet.onnx: OpenCV cannot read it"):
        Detector(path, 0.6)


def test_what_is_no_detector_is_refused(tmp_path):
    path = tmp_path / "x.onnx"
    with pytest.raises(UserError, match="x.onnx: no such file"):
        Detector(path, 0.6)
    for content in (b"", b"<html>404</html>", b"\x3a\x7f"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="x.onnx: OpenCV cannot read it"):
            Detector(path, 0.6)


def test_names_of_sizes_become_numbers_of_as_many_bytes():
    def message(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def network(*sizes: bytes) -> bytes:
        shape = b"".join(message(1, size) for size in sizes)
        tensor = message(2, message(1, b"\x08\x01" + message(2, shape)))
        return b"\x08\x06" + message(7, message(11, b"\x0a\x01x" + tensor))

    named = network(message(2, b"batch"), b"\x08\x03", message(2, b"h"), b"\x08\x05")
    found = with_known_input(named, 640)
    batch = b"\x08\x81\x80\x80\x80\x80\x00"  # 1, in six bytes
    assert found == network(batch, b"\x08\x03", b"\x08\x80\x05", b"\x08\x05")
