"""A folder of videos, one after the other through the nodes behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import comfy.model_management
import folder_paths
from comfy_api.latest import InputImpl, io

from ..m3ddm_core.video.file import FileSource
from ..m3ddm_core.video.suffixes import VIDEOS, find_videos
from .host.progress import frame_progress
from .host.sockets import CATEGORY


class VideoFolder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="M3DDM_VideoFolder",
            display_name="M3DDM Video Folder",
            category=CATEGORY,
            description="The videos of a folder, one after the other: what follows, such as M3DDM Outpaint Video and "
            "Save Video, runs once for each. A file that cannot be read is named and passed over.",
            search_aliases=["batch videos", "folder of videos", "load videos", "many videos", "m3ddm"],
            inputs=[
                io.String.Input(
                    "folder",
                    default="",
                    tooltip="A folder in ComfyUI's input folder, with all folders in it; empty for the input folder "
                    "itself.",
                ),
                io.Int.Input(
                    "first",
                    default=0,
                    min=0,
                    max=100_000,
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    tooltip="The number of the first video, counted from 0 in the order of their names. With most 1 "
                    "and increment, each run takes the next one.",
                ),
                io.Int.Input(
                    "most",
                    default=0,
                    min=0,
                    max=100_000,
                    tooltip="How many videos in one run. 0: all. None is saved before all of a run are sampled; with "
                    "1, and as many runs as there are videos, each is.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    display_name="videos", is_output_list=True, tooltip="One by one. Goes to M3DDM Outpaint Video."
                ),
                io.String.Output(
                    display_name="names",
                    is_output_list=True,
                    tooltip="Their names, with folders and without what follows the dot: for filename_prefix of Save "
                    "Video.",
                ),
                io.String.Output(
                    display_name="left_out", tooltip="The files that cannot be read, a line each, with the reason."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str, first: int, most: int) -> list[tuple[str, int, int]]:
        """Other files, or other contents, are another folder."""
        place = place_of(folder)
        stamps = [(path, (place / path).stat()) for path in chosen(find_videos(place), first, most)]
        return [(str(path), status.st_size, status.st_mtime_ns) for path, status in stamps]

    @classmethod
    def execute(cls, folder: str, first: int, most: int) -> io.NodeOutput:
        place = place_of(folder)
        found = find_videos(place)
        paths = chosen(found, first, most)
        if not paths:
            raise ValueError(
                f"got first = {first} and {len(found)} videos in {place}, expected a video there ({', '.join(VIDEOS)})"
            )
        left_out = unreadable(place, paths)
        read = [path for path in paths if path not in left_out]
        if not read:
            raise ValueError(f"got no video in {place} that can be read:\n{_lines(left_out)}")
        for path, reason in left_out.items():
            logging.warning("M3DDM Video Folder: %s is passed over: %s", path, reason)
        videos = [InputImpl.VideoFromFile(str(place / path)) for path in read]
        return io.NodeOutput(videos, [path.with_suffix("").as_posix() for path in read], _lines(left_out))


def place_of(folder: str) -> Path:
    """Return the folder of that name in ComfyUI's input folder. Raises ValueError for one that is none, or elsewhere:
    whoever may send a graph to ComfyUI may not therefore look at any folder of its machine."""
    base = Path(folder_paths.get_input_directory()).absolute()
    place = base / folder.strip().strip('"')
    if ".." in place.parts or base not in (place, *place.parents):
        raise ValueError(f"got the folder {folder!r}, expected one in {base}: put it or a link to it there")
    if not place.is_dir():
        raise ValueError(f"got the folder {folder!r}, which is not in {base}, expected one that is")
    return place


def chosen(paths: Sequence[Path], first: int, most: int) -> list[Path]:
    """``most`` of the paths, 0 for all, from number ``first`` on."""
    return list(paths[first : first + most if most else None])


def unreadable(place: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """Look through videos, and return why, for those that cannot be read."""
    reasons = {}
    with frame_progress("looking through video", len(paths)) as (looked, _):
        for number, path in enumerate(paths, start=1):
            try:
                FileSource(str(place / path), on_frame=_heed)
            except (ValueError, OSError) as error:
                reasons[path] = str(error)
            looked(number)
    return reasons


def _heed(done: int, expected: int) -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()


def _lines(reasons: dict[Path, str]) -> str:
    return "\n".join(f"{path}: {reason}" for path, reason in reasons.items())
