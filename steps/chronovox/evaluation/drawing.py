"""How pictures look, and how they become SVG and PNG: the same each time.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), in an order in
which neighbours differ in lightness, too. A line has a dash and a marker of its own
besides, for print in grey; references without training are grey and dotted.
"""

import base64
import io
import re
import warnings
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup, escape

WIDTH = 3.55  # inches of a picture: three stand side by side on a page
MAX_INLINE = 300_000  # characters of an SVG that stands in the page itself
INK, GREY = "#1a1a1a", "#6b6b6b"
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#000000", "#CC79A7"
)  # fmt: skip
DASHES = ("-", (0, (5, 1.6)), (0, (6, 1.6, 1, 1.6)), (0, (2.2, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Text of an SVG stays text; no name is read as a formula.
_LOOK = {
    "svg.fonttype": "none", "text.parse_math": False,
    "figure.constrained_layout.use": True, "figure.facecolor": "white",
    "font.family": "DejaVu Sans", "font.size": 8, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": "#8a8a8a", "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlelocation": "left", "axes.titlesize": 8, "axes.titlepad": 5,
    "axes.labelsize": 8, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#e6e6e6", "grid.linewidth": 0.6,
    "xtick.color": "#8a8a8a", "ytick.color": "#8a8a8a", "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "lines.linewidth": 1.4, "lines.markersize": 4,
    "legend.frameon": False, "legend.fontsize": 7.5, "legend.handlelength": 3.2,
    "legend.borderpad": 0.6, "legend.labelspacing": 0.35, "hatch.linewidth": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a line is drawn."""

    colour: str
    dash: object
    marker: str


@dataclass(frozen=True)
class Picture:
    """A picture, ready to be written; `caption` stands under it and is its name."""

    name: str
    caption: str
    svg: str
    png: bytes


def style(number: int) -> Style:
    """The style of the number-th line; the first 28 all differ."""
    turn, colour = divmod(number, len(COLOURS))
    dash = DASHES[(turn + colour) % len(DASHES)]
    return Style(
        COLOURS[colour], dash, MARKERS[number % len(MARKERS)]
    )  # fmt: skip


def reference_style(number: int) -> Style:
    """The style of the number-th reference that was not trained."""
    dash = ((0, (1, 1.2)), (0, (1, 1.2, 4, 1.2)))[number % 2]
    return Style(GREY, dash, "x+1234"[number % 6])


def printable(text: str) -> str:
    """Text without what a picture cannot hold."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shorten(text: str, length: int = 34) -> str:
    """Text of at most `length` characters, the middle left out."""
    text = printable(text)
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def draw(name: str, caption: str, plot, *args, **options) -> Picture:
    """The picture that `plot(*args, **options)` makes as a figure of matplotlib."""
    with matplotlib.rc_context({**_LOOK, "svg.hashsalt": name}):
        figure = plot(*args, **options)
        svg, png = io.BytesIO(), io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # of a foreign name
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(svg, format="svg", metadata=nothing)
            figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    text = re.sub(r'( d="[^"]*")', _rounded, svg.getvalue().decode())
    return Picture(name, caption, text, png.getvalue())


def _rounded(path: re.Match) -> str:
    """The path of an SVG with two decimals: less than a pixel sees."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])


def markup(picture: Picture) -> Markup:
    """A picture for a page that needs no other file."""
    label = escape(picture.caption)
    if len(picture.svg) > MAX_INLINE:
        data = base64.b64encode(picture.png).decode()
        return Markup(f'<img alt="{label}" src="data:image/png;base64,{data}">')
    svg = picture.svg[picture.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, flags=re.S)
    # Ids of several pictures in one page.
    svg = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{picture.name}-", svg)
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
