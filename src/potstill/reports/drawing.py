"""Figures as inline SVG whose colours are those of the page, light or dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from potstill.errors import PotstillError
from potstill.reports.markup import PALETTE

INK, SOFT, LINE, PAGE = (PALETTE[name][0] for name in ("ink", "soft", "line", "page"))
BLUE, ORANGE, GREEN, GREY, VIOLET = (PALETTE[name][0] for name in ("blue", "orange", "green", "grey", "violet"))
VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()} | {"#000000": "var(--ink)"}
FAINTEST = 0.15  # opacity of a cell with hardly anything in it
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "potstill",
    "text.parse_math": False,  # names of files may contain dollar signs
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": GREY,
    "legend.labelcolor": INK,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Set the style of figures on pages. Axes take it when they are made."""
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        yield


def draw_cells(axis: Axes, cells: Float[np.ndarray, "Y X"], extent: tuple[float, float, float, float]) -> None:
    """Draw a grid of numbers from 0 in one colour. The opacity of a cell grows with the square root of its number."""
    left, right, bottom, top = extent
    across, up = np.linspace(left, right, cells.shape[1] + 1), np.linspace(bottom, top, cells.shape[0] + 1)
    filled = np.argwhere(cells > 0.0)
    corners = [[(across[i + k], up[j + m]) for k, m in ((0, 0), (1, 0), (1, 1), (0, 1))] for j, i in filled]
    shares = cells[tuple(filled.T)] / max(float(cells.max()), 1e-12)
    colours = [(*to_rgb(BLUE), float(FAINTEST + (1.0 - FAINTEST) * share)) for share in np.sqrt(shares)]
    axis.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0, antialiased=False))
    axis.set(xlim=(left, right), ylim=(bottom, top))
    axis.grid(visible=False)


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as an SVG element with a text alternative. Text stays text, and equal figures give equal bytes.

    Args:
        figure: made within :func:`drawing`, with colours of the palette alone.
        name: begins all ids of the element, which would otherwise be those of other figures on the page.
        alt: what the picture shows, in words.

    Raises:
        PotstillError: a colour is not in the palette, so a dark page would not change it.
    """
    written = io.StringIO()
    with drawing(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the reader's fonts draw the text
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", text).replace("xlink:href", "href")
    text = _name_ids(text, name)
    text = re.sub(r"(?<=: )#[0-9a-f]{6}\b", _find_variable, text)
    text = re.sub(r"\n+", "\n", text)
    opening = f'<svg role="img" aria-labelledby="{name}-title" '
    return text.replace("<svg ", opening, 1).replace(">", f'>\n<title id="{name}-title">{escape(alt)}</title>', 1)


def _find_variable(found: re.Match[str]) -> str:
    if found[0] not in VARIABLES:
        raise PotstillError(f"the colour {found[0]} of a picture is not in the palette of pages")
    return VARIABLES[found[0]]


def _name_ids(text: str, name: str) -> str:
    """Drop the ids that nothing refers to, and begin the others with the name of the picture."""
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def make_figure_block(figure: Figure, name: str, alt: str, caption: str) -> str:
    """Make a figure element of a drawing, with a caption that says what is drawn."""
    return f"<figure>{to_svg(figure, name, alt)}<figcaption>{escape(caption)}</figcaption></figure>"
