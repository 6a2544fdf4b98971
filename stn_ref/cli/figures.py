"""The figures of figures/: draw them, store the numbers that they show, and find stale ones.

A figure NAME is a file NAME.svg or NAME.png. Its numbers are in numbers/NAME.json, its alt text and caption in
captions.toml. A figure is stale if the numbers of a new drawing differ from the stored ones. The files themselves are
not compared, because they differ between versions of matplotlib.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from stn_ref import checks, files, schema, transforms
from stn_ref.plotting.gallery import FIGURES, OF_RESULTS, draw
from stn_ref.schema import NUMBER

FOLDER = Path("figures")
_KEPT = {"alt": str, "caption": str, "numbers": {str: [(NUMBER, None), ...]}}  # null: NaN
FORMATS = ("svg", "png", "pdf")


def chosen(names: Iterable[str], results: Path | None = None) -> list[str]:
    """Return the names, or all figures if none is given; ValueError if one is unknown, or shows no `results`."""
    names = list(names)
    for name in names:
        checks.one_of("figure", name, FIGURES)
        if results is not None:
            checks.one_of("figure of results", name, OF_RESULTS)
    return names or list(FIGURES)


def regenerate(
    names: Iterable[str],
    out: Path,
    *,
    format: str | None = None,
    size: tuple[float, float] | None = None,
    dark: bool = False,
    results: Path | None = None,
    note: Callable[[str], None] = print,
) -> list[str]:
    """Draw figures; write each with its numbers, and the captions of all of them; return the files written.

    Args:
        names: the figures; none: all figures.
        out: the folder.
        format: "svg", "png" or "pdf" instead of each figure's own.
        size: (width, height) in inches instead of each figure's own.
        dark: light lines on a dark background.
        results: the folder of results, for figures that show results; default: figures/results.
        note: called with lines of progress.
    """
    from stn_ref.plotting import style

    written, size = [], _size(size)
    for name in chosen(names, results):
        note(f"drawing {name}")
        with style.styled(dark):
            drawing = draw(name, results)
            if size:
                drawing.figure.set_size_inches(*size)
            written.append(str(style.save(drawing.figure, out / f"{name}.{format or drawing.suffix}", dark=dark)))
        shown = {"alt": drawing.alt, "caption": drawing.caption, "numbers": _lists(drawing.numbers)}
        (out / "numbers").mkdir(exist_ok=True)
        files.write(_numbers_file(out, name), json.dumps(shown, allow_nan=False) + "\n")
    _write_captions(out)
    return written


def stale(names: Iterable[str], folder: Path, note: Callable[[str], None] = print) -> dict[str, str]:
    """Return the stale figures: name -> how the file in the folder differs from a new drawing."""
    from stn_ref.plotting import style

    found = {}
    for name in chosen(names):
        note(f"checking {name}")
        with style.styled():
            drawing = draw(name)
        before = _kept(folder, name)
        if not (folder / f"{name}.{drawing.suffix}").is_file() or not before:
            found[name] = "it is missing"
        elif (before["alt"], before["caption"]) != (drawing.alt, drawing.caption):
            found[name] = "its alt text or caption has changed"
        elif why := _difference(before["numbers"], drawing.numbers, drawing.tolerance):
            found[name] = why
    return found


def picture(
    image: Path, transform: str, theta: str, out: Path, *, size: tuple[float, float] | None = None, dark: bool = False
) -> Path:
    """Draw the user's own picture under a transform: the picture with the sampling grid, and the sampled output.

    Args:
        image: a PNG, or any file that Pillow reads.
        transform: a family, such as "affine".
        theta: its parameters, numbers separated by spaces or commas; empty: the identity. For "tps": the source point
            of each control point, row by row.
        out: the file to write; its suffix selects the format.
        size: (width, height) in inches.
        dark: light lines on a dark background.

    Raises:
        ValueError: theta does not have the family's K numbers, or the suffix of out is not a known format.
        OSError: the image cannot be read.
    """
    from stn_ref.plotting import style
    from stn_ref.plotting.gallery import maps

    family = transforms.get(transform)
    try:
        values = [float(text) for text in theta.replace(",", " ").split()] or list(family.identity)
    except ValueError:
        raise ValueError(f"theta must be numbers separated by spaces or commas; got {theta!r}") from None
    if len(values) != family.K or not np.isfinite(values).all():
        raise ValueError(
            f"theta must be {family.K} finite numbers for {transform}: {' '.join(family.symbols)}; got {theta!r}"
        )
    checks.one_of("the format of --out", out.suffix.lstrip("."), FORMATS)
    size = _size(size)
    pixels = style.read_image(image)
    with style.styled(dark):
        drawing = maps.own_picture(pixels, family, np.array(values))
        if size:
            drawing.figure.set_size_inches(*size)
        return style.save(drawing.figure, out, dark=dark)


def caption(name: str, folder: Path = FOLDER) -> str:
    """Return the stored caption of a figure, or an empty string if there is none."""
    return _kept(folder, name).get("caption", "")


def _numbers_file(folder: Path, name: str) -> Path:
    return folder / "numbers" / f"{name}.json"


def _kept(folder: Path, name: str) -> dict:
    """Return alt text, caption and numbers stored beside a figure; an empty dict if there are none."""
    kept = _numbers_file(folder, name)
    return schema.read(kept, _KEPT, "the numbers of a figure") if kept.exists() else {}


def _size(size: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the size in inches as numbers; raise if it is not a size."""
    return size and tuple(checks.between("size", inches, 0.5, 100) for inches in size)


def _lists(numbers: dict[str, np.ndarray]) -> dict[str, list]:
    """Return the numbers as lists, rounded to seven digits; None for NaN."""
    rounded = ((name, [float(f"{v:.7g}") for v in np.ravel(values)]) for name, values in numbers.items())
    return {name: [None if np.isnan(v) else v for v in values] for name, values in rounded}


def _difference(before: dict[str, list], now: dict[str, np.ndarray], tolerance: float) -> str:
    """Return how the numbers differ, or an empty string if they do not."""
    if before.keys() != now.keys():
        return f"it now shows {', '.join(now)}; the file shows {', '.join(before)}"
    for name, values in now.items():
        a, b = np.array(before[name], float), np.ravel(values).astype(float)
        if a.shape != b.shape:
            return f"{name} now has {b.size} numbers; the file has {a.size}"
        apart = np.nanmax(np.abs(a - b), initial=0)
        if (np.isnan(a) != np.isnan(b)).any() or apart > tolerance * max(1.0, np.nanmax(np.abs(a), initial=0)):
            return f"{name} differs by {apart:.2g}"
    return ""


def _write_captions(folder: Path) -> None:
    """Write captions.toml: alt text and caption of every figure whose numbers are in the folder."""
    lines = ["# Written by `stn-ref figures`: what each figure shows, and what it means.", ""]
    for name in FIGURES:
        if words := _kept(folder, name):
            said = [f"{key} = {json.dumps(words[key], ensure_ascii=False)}" for key in ("alt", "caption")]
            lines += [f"[{name}]", *said, ""]
    files.write(folder / "captions.toml", "\n".join(lines))
