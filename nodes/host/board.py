"""The scene board in ComfyUI: the input that holds its JSON, and the pictures that it names."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ...m3ddm_core.video.board import read_board


def board_input(name: str, tooltip: str) -> io.Input:
    """A board's JSON."""
    return io.String.Input(
        name, default="", multiline=True, dynamic_prompts=False, optional=True, advanced=True, tooltip=tooltip
    )


def find_guide(name: str) -> Path:
    """Return the picture of that name in ComfyUI's input folder. Raises ValueError for one that is elsewhere: whoever
    may send a graph to ComfyUI may not therefore look at any file of its machine."""
    base = Path(folder_paths.get_input_directory()).absolute()
    path = base / name
    if ".." in path.parts or base not in path.parents:
        raise ValueError(f"got the guide {name!r} in the board, expected a picture in {base}: put it there")
    if not path.is_file():
        raise ValueError(f"got the guide {name!r} in the board, which is not in {base}, expected a picture that is")
    return path


def check_board(board: str | None) -> bool | str:
    """True, or what is wrong with a board's JSON. One that comes over a wire is None."""
    try:
        read_board(board or "", find_guide)
    except ValueError as error:
        return str(error)
    return True


def guide_stamps(board: str | None) -> list[tuple[str, int, int]]:
    """Size and time of the pictures that a board names: other contents are another board. One that comes over a wire
    names none yet."""
    decided = read_board(board or "", find_guide)
    paths = [path for decision in decided.scenes.values() for _, path in decision.guides]
    stamps = [(path, path.stat()) for path in paths]
    return [(str(path), status.st_size, status.st_mtime_ns) for path, status in stamps]
