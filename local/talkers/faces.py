"""Drawn faces: frames in which identity is geometry, and age is in the texture.

A test bed, no likeness of anybody. What changes with age, each in its own way and at
its own pace: blemishes of the young, furrows of the forehead, crow's feet, folds
beside the mouth, bags and drooping lids, spots, grey hair and its line, thinner lips.
Furrows and folds are dark on one side and lit on the other, in other places for each
person: no sum of pixels tells the age. What else varies, by person, session and frame:
complexion, light, pose, blur, camera.
"""

import dataclasses

import numpy as np

SIZE = 64  # pixels, both ways

# Geometry in units of half the image, from the centre: mean of men and women, and
# standard deviation between people.
GEOMETRY = {
    "width": (0.56, 0.52, 0.035), "height": (0.74, 0.72, 0.035),
    "jaw": (0.82, 0.70, 0.07), "eye_y": (-0.10, -0.10, 0.02),
    "eye_x": (0.235, 0.23, 0.018), "eye_size": (0.085, 0.095, 0.009),
    "brow_y": (-0.235, -0.25, 0.015), "brow_size": (0.040, 0.026, 0.006),
    "brow_tilt": (0.0, 0.03, 0.03), "nose_y": (0.17, 0.16, 0.025),
    "nose_width": (0.105, 0.09, 0.012), "mouth_y": (0.385, 0.375, 0.022),
    "mouth_width": (0.215, 0.20, 0.022), "lip": (0.045, 0.055, 0.008),
    "hair_y": (-0.50, -0.47, 0.05),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Person:
    """What of a face stays: geometry, colours, and how old it looks for its age.

    skin, hair, iris: RGB, 0 to 1. pace: of each kind of texture, as factors. bias:
    years that the face looks older than it is.
    """

    geometry: dict[str, float]
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    pace: np.ndarray
    bias: float
    texture: int


@dataclasses.dataclass(frozen=True)
class View:
    """How a face is seen: all that has nothing to do with age.

    light: direction (x, y) and strength of its slope; gain, warmth: of the camera;
    shift, scale, roll, yaw: of the head; blur: radius in pixels; noise: standard
    deviation.
    """

    light: tuple[float, float]
    gain: float
    warmth: float
    shift: tuple[float, float]
    scale: float
    roll: float
    yaw: float
    blur: float
    noise: float


# Age in years at which half of a kind is there, and over how many it comes, or goes.
ONSETS = {
    "blemishes": (27.0, -5.0), "forehead": (36.0, 8.0), "eyes": (44.0, 8.0),
    "mouth": (50.0, 9.0), "bags": (58.0, 8.0), "spots": (64.0, 7.0),
    "grey": (53.0, 9.0), "hairline": (45.0, 14.0), "lips": (60.0, 12.0),
}  # fmt: skip


def draw_person(rng: np.random.Generator, gender: str) -> Person:
    """A person's face."""
    geometry = {
        name: (women if gender == "f" else men) + spread * rng.normal()
        for name, (men, women, spread) in GEOMETRY.items()
    }
    tone = rng.uniform(0.0, 1.0)
    skin = np.array([0.92, 0.76, 0.66]) * (1 - tone) + tone * np.array(
        [0.50, 0.34, 0.25]
    )
    dark = rng.uniform(0.0, 1.0)
    hair = np.array([0.72, 0.55, 0.30]) * (1 - dark) + dark * np.array(
        [0.10, 0.08, 0.07]
    )
    iris = np.array([[0.25, 0.15, 0.08], [0.30, 0.45, 0.65], [0.30, 0.42, 0.25]])
    return Person(
        geometry, skin + rng.normal(0, 0.02, 3), hair, iris[rng.integers(3)],
        np.exp(rng.normal(0.0, 0.08, len(ONSETS))), float(rng.normal(0.0, 1.0)),
        int(rng.integers(2**31)),
    )  # fmt: skip


def draw_view(home: np.random.Generator, frame: np.random.Generator) -> View:
    """A view: as far as the session decides by `home`, the rest by `frame`."""

    def vary(mean, session, within):
        return float(mean + session * home.normal() + within * frame.normal())

    return View(
        (vary(0.0, 0.25, 0.1), vary(-0.15, 0.15, 0.08)), vary(1.0, 0.12, 0.05),
        vary(0.0, 0.05, 0.02), (vary(0, 0.01, 0.03), vary(0, 0.01, 0.03)),
        vary(1.2, 0.03, 0.03), vary(0, 0.02, 0.05), vary(0, 0.05, 0.13),
        abs(vary(0.4, 0.12, 0.08)), abs(vary(0.012, 0.006, 0.003)),
    )  # fmt: skip


def amounts(person: Person, age: float) -> dict[str, float]:
    """How much of each kind of texture is there at an age in years, 0 to 1."""
    looks = age + person.bias
    return {
        kind: 1 / (1 + np.exp(-(looks - half * pace) / over))
        for (kind, (half, over)), pace in zip(ONSETS.items(), person.pace, strict=True)
    }


def _soft(distance, width=0.03):
    """1 inside, 0 outside, and a soft edge."""
    return 1 / (1 + np.exp(np.clip(distance / width * 3, -30, 30)))


def _mix(image, colour, share):
    """Paint `colour` over an image `(H, W, 3)`, as far as `share (H, W)` says."""
    return image + (np.asarray(colour) - image) * share[:, :, None]


def render(person: Person, age: float, view: View, rng) -> np.ndarray:
    """A frame, uint8 `(64, 64, 3)`, blue green red."""
    g, much = person.geometry, amounts(person, age)
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    image_x, image_y = np.meshgrid(axis, axis)
    cos, sin = np.cos(view.roll), np.sin(view.roll)
    x = (cos * (image_x - view.shift[0]) + sin * (image_y - view.shift[1])) / view.scale
    y = (cos * (image_y - view.shift[1]) - sin * (image_x - view.shift[0])) / view.scale
    width = np.where(
        y > 0.2, g["jaw"] + (1 - g["jaw"]) * np.exp(-((y - 0.2) ** 2) * 6), 1
    )
    head = np.hypot(x / (g["width"] * width), y / g["height"])
    inner = x + view.yaw * (1 - np.clip(head, 0, 1) ** 2)  # features move, not the edge

    image = np.ones((SIZE, SIZE, 3)) * np.array([0.45, 0.5, 0.55])
    image = _mix(image, person.skin, _soft(head - 1, 0.06))
    image = _texture(image, person, much, inner, y, head)
    image = _features(image, person, much, inner, y, head)
    return _camera(image, view, x, y, rng)


def _ridge(distance, width: float):
    """A fold across `distance`: dark on one side, lit on the other, -1 to 1."""
    z = distance / width
    return 1.65 * z * np.exp(-(z**2) / 2)


def _texture(image, person: Person, much, x, y, head):
    """Blemishes, furrows, folds, bags and spots of the skin."""
    g, inside = person.geometry, _soft(head - 0.97, 0.05)
    own = np.random.default_rng(person.texture)
    phase, wobble, pitch = own.uniform(0, 6.28), own.uniform(3, 9), own.uniform(36, 50)
    drop, bow, rays = own.normal(0, 0.03), own.normal(0.11, 0.03), own.uniform(6, 9)
    middle = (g["hair_y"] + g["brow_y"]) / 2 + 0.04
    window = np.exp(-(((y - middle) / 0.12) ** 2) - (x / 0.34) ** 2)
    lines = np.sin(y * pitch + phase + 0.5 * np.sin(x * wobble))
    dark = 0.24 * much["forehead"] * lines * window
    for side in (-1, 1):
        across, down = side * x - g["eye_x"] - 0.11, y - g["eye_y"]
        window = np.exp(-(((np.hypot(across, down) - 0.08) / 0.06) ** 2))
        lines = np.sin(np.arctan2(down, across) * rays + phase) * (across > -0.02)
        dark += 0.28 * much["eyes"] * lines * window
        run = np.clip((y - g["nose_y"]) / (g["mouth_y"] + 0.06 - g["nose_y"]), 0, 1)
        fold = side * x - g["nose_width"] - 0.03 - drop - bow * run**0.8
        within = _soft(np.abs(y - (g["nose_y"] + g["mouth_y"]) / 2 - 0.03) - 0.12, 0.05)
        dark += 0.26 * much["mouth"] * _ridge(fold, 0.025) * within
        bag = np.hypot((side * x - g["eye_x"]) / 0.12, (down - 0.1 - drop) / 0.05)
        dark += 0.22 * much["bags"] * _ridge(bag - 0.9, 0.3) * (down > 0.05)
    kinds = (("blemishes", 0.5, 16, 0.02, 0.035), ("spots", 0.18, 14, 0.03, 0.06))
    for kind, amount, number, low, high in kinds:
        for centre in own.uniform([-0.45, -0.55], [0.45, 0.6], (number, 2)):
            spot = np.hypot(x - centre[0], y - centre[1]) / own.uniform(low, high)
            shape = np.exp(-(spot**2)) - 0.25 * np.exp(-((spot / 2) ** 2))
            dark += amount * much[kind] * shape
    return image * (1 - np.clip(dark, -0.4, 0.6) * inside)[:, :, None]


def _features(image, person: Person, much, x, y, head):
    """Hair, eyes, brows, nose and mouth."""
    g = person.geometry
    strands = np.random.default_rng(person.texture + 1).normal(0, 1, (SIZE, SIZE, 1))
    hair = person.hair + much["grey"] * np.clip(0.18 + 0.28 * strands, -0.4, 0.6)
    line = g["hair_y"] - 0.07 * much["hairline"] * np.exp(
        -((np.abs(x) - 0.28) ** 2) * 30
    )
    scalp = _soft(y - line - 0.45 * x**2, 0.04) * _soft(head - 1.12, 0.06)
    image = _mix(image, hair, scalp)
    brow = person.hair * (1 - 0.6 * much["grey"]) + 0.5 * 0.6 * much["grey"]
    for side in (-1, 1):
        across, down = side * x - g["eye_x"], y - g["eye_y"]
        white = _soft(
            np.hypot(across / (1.5 * g["eye_size"]), down / g["eye_size"]) - 0.8, 0.2
        )
        image = _mix(image, [0.93, 0.92, 0.90], white)
        ball = np.hypot(x * side - g["eye_x"], down) / (0.62 * g["eye_size"])
        image = _mix(image, person.iris, _soft(ball - 1, 0.3) * white)
        image = _mix(image, [0.03] * 3, _soft(ball - 0.5, 0.3) * white)
        lid = down + g["eye_size"] * (0.62 - 0.6 * much["bags"])
        image = _mix(image, person.skin * 0.86, _soft(lid, 0.02) * white)
        rise = g["brow_y"] + g["brow_tilt"] * across / 0.15 + 0.6 * across**2
        stroke = _soft(np.abs(y - rise) - g["brow_size"] / 2, 0.02)
        image = _mix(image, brow, 0.85 * stroke * _soft(np.abs(across) - 0.15, 0.04))
        wing = np.hypot(side * x - g["nose_width"] * 0.8, (y - g["nose_y"]) * 1.4)
        image = image * (1 - 0.35 * np.exp(-((wing / 0.035) ** 2)))[:, :, None]
        bridge = np.abs(side * x - g["nose_width"] * 0.45) / 0.03
        along = _soft(np.abs(y - (g["nose_y"] + g["eye_y"]) / 2) - 0.12, 0.05)
        image = image * (1 - 0.10 * np.exp(-(bridge**2)) * along)[:, :, None]
    thick = g["lip"] * (1 - 0.4 * much["lips"])
    lips = _soft(np.hypot(x / g["mouth_width"], (y - g["mouth_y"]) / thick) - 1, 0.15)
    image = _mix(image, person.skin * [0.78, 0.52, 0.52], lips)
    slit = np.exp(-(((y - g["mouth_y"]) / 0.013) ** 2)) * _soft(
        np.abs(x) - g["mouth_width"], 0.04
    )
    return image * (1 - 0.5 * slit)[:, :, None]


def _camera(image, view: View, x, y, rng) -> np.ndarray:
    """Light, white balance, blur, noise, and 8 bits."""
    from scipy.ndimage import gaussian_filter

    lit = np.clip(1 + view.light[0] * x + view.light[1] * y, 0.2, 2.0) * view.gain
    colour = np.array([1 + view.warmth, 1.0, 1 - view.warmth])
    image = gaussian_filter(image * lit[:, :, None] * colour, (view.blur, view.blur, 0))
    image += rng.normal(0, view.noise, image.shape)
    return (np.clip(image[:, :, ::-1], 0, 1) * 255 + 0.5).astype(np.uint8)
