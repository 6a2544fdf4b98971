"""The tutorials: find, run and copy them, and export them as notebooks.

A tutorial is one script, tutorials/NN_name.py, in jupytext's percent format: `# %% [markdown]` begins a text cell,
`# %%` a code cell. The tests use the cells tagged "exercise" and "solution". Notebooks are made only from the scripts;
each stores the hash of its script, so that stale notebooks are found.
"""

import base64
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stn_ref import files, schema
from stn_ref.lab.machine_report import shipped

FOLDER = shipped("tutorials")
_NOTEBOOK = {"metadata": {"stn_ref?": {"sha256?": str}}}


def scripts() -> list[Path]:
    """Return the scripts in order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def find(name: str) -> Path:
    """Return the script with this name or number, "06", "6" or "06_kinks", or the user's own FILE.py.

    Raises:
        ValueError: no script has this name; the message lists the scripts.
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
    """Run scripts in order, each in a new Python process; return the status of the first that fails, or 0."""
    for path in paths:
        note(f"{path.stem}: {title(path)}")
        status = subprocess.run([sys.executable, str(path)], check=False).returncode
        if status:
            return status
    return 0


def copy(target: Path, say: Callable[[str], None]) -> list[str]:
    """Copy scripts, pages and notebooks to a folder and return the new files; existing files are not changed."""
    copied, kept = [], 0
    for source in sorted(path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        goal = target / source.relative_to(FOLDER)
        if goal.exists():
            kept += 1
            continue
        goal.parent.mkdir(parents=True, exist_ok=True)
        files.write(goal, source.read_bytes())
        copied.append(str(goal))
    say(f"{len(copied)} files copied to {target}" + (f", {kept} existing files kept" if kept else ""))
    say(f"run one: python {target / scripts()[0].name}")
    return copied


def notebook(path: Path) -> Path:
    """Return the path of a script's notebook."""
    return path.parent / "notebooks" / f"{path.stem}.ipynb"


def source_hash(path: Path) -> str:
    """Return the SHA-256 of a script with Unix line ends."""
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def stale(paths: list[Path]) -> list[Path]:
    """Return the scripts whose notebook is missing or was made from another version of the script."""
    return [path for path in paths if _made_from(notebook(path)) != source_hash(path)]


def _made_from(path: Path) -> str | None:
    if not path.is_file():
        return None
    return schema.read(path, _NOTEBOOK, "a notebook")["metadata"].get("stn_ref", {}).get("sha256")


def export(paths: list[Path], note: Callable[[str], None]) -> list[str]:
    """Run scripts as notebooks, write them with their outputs to notebooks/ beside the scripts, and return the files.

    Cells have the ids NN_name-0, NN_name-1, ...; run times and other details of a run are not stored.

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
        # without MPLBACKEND the notebook's own backend embeds figures
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
    """Write a small copy of a notebook's first figure, for the overview of the tutorials."""
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
