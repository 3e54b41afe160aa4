"""Reframe every video of a folder through a running ComfyUI, by its public API alone: submit, watch, fetch.

    python docs/reframe_folder.py VIDEOS RESULTS --prompt docs/reframe_prompt.json --server http://127.0.0.1:8188

The prompt is any graph saved with *Export (API)* that has one Load Video. ``reframe_prompt.json`` makes 9:16 of videos
with the pack's demonstration. Needs Python alone; with the package websocket-client it shows how far each video is.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi"}
LOADER, FILE = "LoadVideo", "file"
SECONDS_BETWEEN_LOOKS = 1.0

Prompt = dict[str, dict[str, Any]]


class Server:
    """A running ComfyUI."""

    def __init__(self, address: str):
        self.address, self.client = address.rstrip("/"), uuid.uuid4().hex

    def upload(self, video: Path) -> str:
        """Put a file into ComfyUI's input folder; returns its name there (``POST /upload/image`` takes any file)."""
        edge = uuid.uuid4().hex
        kind = mimetypes.guess_type(video.name)[0] or "application/octet-stream"
        head = f'Content-Disposition: form-data; name="image"; filename="{video.name}"\r\nContent-Type: {kind}'
        body = b"".join((f"--{edge}\r\n{head}\r\n\r\n".encode(), video.read_bytes(), f"\r\n--{edge}--\r\n".encode()))
        answer = self._post("/upload/image", body, f"multipart/form-data; boundary={edge}")
        return "/".join(filter(None, (answer["subfolder"], answer["name"])))

    def submit(self, prompt: Prompt) -> str:
        """Queue a prompt; returns its id (``POST /prompt``)."""
        body = json.dumps({"prompt": prompt, "client_id": self.client}).encode()
        return self._post("/prompt", body, "application/json")["prompt_id"]

    def watch(self, prompt_id: str, name: str) -> dict[str, Any]:
        """Wait until a prompt has ended; returns its entry in the history (``GET /history/ID``, ``/ws``)."""
        for share in self._shares(prompt_id):
            print(f"\r{name}: {share:4.0%}", end="", file=sys.stderr, flush=True)
        while not (entry := json.loads(self.get(f"/history/{prompt_id}")).get(prompt_id)):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return entry

    def _shares(self, prompt_id: str) -> Iterator[float]:
        """How far the node at work is, 0 to 1, until the prompt has ended; nothing without websocket-client."""
        try:
            import websocket
        except ImportError:
            return
        address = f"{self.address.replace('http', 'ws', 1)}/ws?clientId={self.client}"
        with closing(websocket.create_connection(address, timeout=SECONDS_BETWEEN_LOOKS)) as socket:
            while prompt_id not in json.loads(self.get(f"/history/{prompt_id}")):
                try:
                    message = socket.recv()
                except websocket.WebSocketTimeoutException:
                    continue
                event = json.loads(message) if isinstance(message, str) else {}
                data = event.get("data") or {}
                if event.get("type") == "progress" and data.get("prompt_id") == prompt_id:
                    yield data["value"] / data["max"]

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + path) as answer:
            return answer.read()

    def _post(self, path: str, body: bytes, kind: str) -> Any:
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            # What is wrong with a prompt stands in the body, node by node.
            raise ValueError(f"the server refused {path}: {error.read().decode(errors='replace')}") from None


def reframe(server: Server, prompt: Prompt, video: Path, results: Path) -> list[Path]:
    """Run a prompt with a video; returns the files that it has made, which are fetched into a folder."""
    loaders = [node for node in prompt.values() if node["class_type"] == LOADER]
    if len(loaders) != 1:
        raise ValueError(f"got a prompt with {len(loaders)} nodes {LOADER}, expected one")
    loaders[0]["inputs"][FILE] = server.upload(video)
    entry = server.watch(server.submit(prompt), video.name)
    for kind, data in entry["status"].get("messages", []):
        if kind == "execution_error":
            raise ValueError(f"{data['node_type']}: {data['exception_message'].strip()}")
        if kind == "execution_interrupted":
            raise ValueError("it was stopped in ComfyUI")
    return [_fetch(server, file, video, results) for file in _files(entry["outputs"])]


def _files(outputs: dict[str, Any]) -> Iterator[dict[str, str]]:
    """What saving nodes have written. M3DDM Save Video names its file under ``files``, others under ``images``."""
    for output in outputs.values():
        for file in output.get("files") or output.get("images") or []:
            if file.get("type") == "output":
                yield file


def _fetch(server: Server, file: dict[str, str], video: Path, results: Path) -> Path:
    query = urllib.parse.urlencode({key: file[key] for key in ("filename", "subfolder", "type")})
    target = results / f"{video.stem}{Path(file['filename']).suffix}"
    target.write_bytes(server.get(f"/view?{query}"))
    return target


def main() -> int:
    """Reframe the folder; returns 1 where a video could not be, after all others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--prompt", type=Path, default=Path(__file__).with_name("reframe_prompt.json"))
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    arguments = parser.parse_args()
    server, prompt = Server(arguments.server), json.loads(arguments.prompt.read_text("utf-8"))
    arguments.results.mkdir(parents=True, exist_ok=True)
    failed = 0
    for video in sorted(path for path in arguments.videos.iterdir() if path.suffix.lower() in VIDEOS):
        try:
            for target in reframe(server, prompt, video, arguments.results):
                print(f"\r{video.name} -> {target}")
        except (ValueError, OSError) as error:
            failed += 1
            print(f"\r{video.name}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
