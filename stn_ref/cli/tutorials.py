"""The tutorials: where they are, how they run, and how they become notebooks.

A tutorial is one script, tutorials/NN_name.py, in jupytext's percent format: `# %% [markdown]` begins a text, `# %%` a
piece of code. Cells tagged "exercise" and "solution" are for the tests. Notebooks are made from the scripts, never the
other way round; each holds the hash of the script that it was made from, so that a stale one is found.
"""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stn_ref import files
from stn_ref.lab.machine_report import shipped

FOLDER = shipped("tutorials")


def scripts() -> list[Path]:
    """Return the scripts, in their order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def find(name: str) -> Path:
    """Return the script of that name or number, "06", "6" or "06_kinks", or a file of the reader's own.

    Raises:
        ValueError: there is none; the message lists what there is.
    """
    if name.endswith(".py") and Path(name).is_file():
        return Path(name)
    for path in scripts():
        if name in (path.stem, path.name, path.stem[:2], path.stem[:2].lstrip("0")):
            return path
    known = ", ".join(path.stem for path in scripts())
    raise ValueError(f"tutorial must be a file FILE.py or one of {known}; got {name!r}")


def title(path: Path) -> str:
    """Return the first heading of a script."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line[4:] for line in lines if line.startswith("# # ")), path.stem)


def run(paths: list[Path], note: Callable[[str], None]) -> int:
    """Run scripts one after the other, each in a Python of its own; return the status of the first that fails, or 0."""
    for path in paths:
        note(f"{path.stem}: {title(path)}")
        status = subprocess.run([sys.executable, str(path)], check=False).returncode
        if status:
            return status
    return 0


def copy(target: Path, say: Callable[[str], None]) -> list[str]:
    """Copy scripts, pages and notebooks to a folder; what is there already, perhaps worked on, is left as it is."""
    copied, kept = [], 0
    for source in sorted(path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        goal = target / source.relative_to(FOLDER)
        if goal.exists():
            kept += 1
            continue
        goal.parent.mkdir(parents=True, exist_ok=True)
        files.write(goal, source.read_bytes())
        copied.append(str(goal))
    say(f"{len(copied)} files copied to {target}" + (f", {kept} that are there left as they are" if kept else ""))
    say(f"run one: python {target / scripts()[0].name}")
    return copied


def notebook(path: Path) -> Path:
    """Return where the notebook of a script is."""
    return path.parent / "notebooks" / f"{path.stem}.ipynb"


def source_hash(path: Path) -> str:
    """Return the SHA-256 of a script, its line ends as on Unix."""
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def stale(paths: list[Path]) -> list[Path]:
    """Return the scripts whose notebook is missing, or made from another version of the script."""
    return [path for path in paths if _made_from(notebook(path)) != source_hash(path)]


def _made_from(path: Path) -> str | None:
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["metadata"].get("stn_ref", {}).get("sha256")


def export(paths: list[Path], note: Callable[[str], None]) -> list[str]:
    """Run scripts as notebooks and write these, with their outputs, beside the scripts in notebooks/.

    Cells have the names NN_name-0, NN_name-1, ...; times and other accidents of a run are not stored.

    Raises:
        ImportError: jupytext or nbclient is not installed.
    """
    try:
        import jupytext
        import nbclient
        import nbformat
    except ImportError as error:
        raise ImportError(f"export needs {error.name}: pip install 'stn-ref[tutorials]'") from None
    written = []
    for path in paths:
        note(f"{path.stem}: {title(path)}")
        book = jupytext.read(path)
        for k, cell in enumerate(book.cells):
            cell["id"] = f"{path.stem}-{k}"
            tags = cell.metadata.get("tags", [])
            cell["metadata"] = {"tags": tags} if tags else {}
            if "solution" in tags:
                cell.metadata["jupyter"] = {"source_hidden": True}
        book["metadata"] = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        where = {"metadata": {"path": str(path.parent)}}
        client = nbclient.NotebookClient(book, timeout=600, resources=where, coalesce_streams=True)
        # without MPLBACKEND the notebook's own backend puts figures into it
        client.execute(env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"})
        for cell in book.cells:
            cell.metadata.pop("execution", None)
        book["metadata"] |= {"stn_ref": {"script": path.name, "sha256": source_hash(path)}}
        book["metadata"].pop("language_info", None)
        goal = notebook(path)
        goal.parent.mkdir(exist_ok=True)
        files.write(goal, nbformat.writes(book) + "\n")
        _thumbnail(book, path.parent / "thumbnails" / f"{path.stem}.png")
        written.append(str(goal))
    return written


def _thumbnail(book, goal: Path) -> None:
    """Write the first figure of a notebook, made small, for the map of the tutorials."""
    from PIL import Image  # comes with matplotlib

    outputs = (output for cell in book.cells for output in cell.get("outputs", []))
    picture = next((o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})), None)
    if picture is None:
        return
    goal.parent.mkdir(exist_ok=True)
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image.thumbnail((240, 180), Image.Resampling.LANCZOS)
    with files.replacing(goal) as file:
        image.save(file, format="PNG")
