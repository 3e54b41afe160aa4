"""Talk to a running ComfyUI server as its frontend does: queue a prompt, follow it, fetch what it wrote."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .websocket import WebSocket

Prompt = dict[str, dict[str, Any]]

_TEXT_EVENT = 3  # of ComfyUI's binary messages: length of the node's id, the id, the text


class PromptError(RuntimeError):
    """The server refused a prompt, or a node of it failed; ``node`` and ``kind`` tell which and how where known."""

    def __init__(self, message: str, *, node: str = "", kind: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.node, self.kind, self.traceback = node, kind, traceback


class Interrupted(PromptError):
    """The prompt was cancelled."""


@dataclass(frozen=True)
class Progress:
    """Where a prompt is: the node at work and how far it has come; ``maximum`` 0 where the node does not say."""

    node: str
    class_type: str
    value: float
    maximum: float


@dataclass(frozen=True)
class Result:
    """A finished prompt. ``outputs`` is the history's, by node id; ``cached`` the nodes that did not run again;
    ``texts`` the lines that nodes showed while they worked.
    """

    prompt_id: str
    outputs: dict[str, dict[str, Any]]
    seconds: float
    cached: tuple[str, ...] = ()
    node_seconds: dict[str, float] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def files(self, node: str | None = None) -> list[dict[str, str]]:
        """The files written, each with ``filename``, ``subfolder`` and ``type``; of one node where given."""
        found = []
        for node_id, output in self.outputs.items():
            if node in (None, node_id):
                for entries in output.values():
                    found += [e for e in entries if isinstance(e, dict) and "filename" in e]
        return found


class Client:
    """A client of the server at ``host:port``."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host, self.port = host, port
        self.id = uuid.uuid4().hex

    def get(self, path: str, timeout: float = 120.0) -> Any:
        """GET ``path`` and return the JSON."""
        return json.loads(self.read(path, timeout))

    def read(self, path: str, timeout: float = 120.0) -> bytes:
        """GET ``path`` and return the bytes."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}", timeout=timeout) as answer:
            return answer.read()

    def post(self, path: str, data: Any, timeout: float = 120.0) -> Any:
        """POST ``data`` as JSON and return the answer's JSON, or None where it has no body."""
        request = urllib.request.Request(
            f"http://{self.host}:{self.port}{path}",
            data=json.dumps(data).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def object_info(self) -> dict[str, Any]:
        """Every node the server has, with its inputs and outputs."""
        return self.get("/object_info", timeout=120.0)

    def queue(self, prompt: Prompt) -> str:
        """Queue an API prompt and return its id; raises `PromptError` with every complaint where it is refused."""
        try:
            return self.post("/prompt", {"prompt": prompt, "client_id": self.id})["prompt_id"]
        except urllib.error.HTTPError as error:
            body = error.read().decode(errors="replace")
            raise PromptError(_refusal(body, prompt), kind="refused") from None

    def run(
        self,
        prompt: Prompt,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float = 3600.0,
    ) -> Result:
        """Queue ``prompt`` and wait until it is done.

        ``on_progress`` is called whenever the server tells something new; it may raise, or call `interrupt`.
        Raises `PromptError` where a node fails, `Interrupted` where it is cancelled, TimeoutError after ``timeout``
        seconds and ConnectionError where the server goes away.
        """
        started = time.monotonic()
        socket = WebSocket(self.host, self.port, f"/ws?clientId={self.id}")
        try:
            prompt_id = self.queue(prompt)
            cached: list[str] = []
            times: dict[str, float] = {}
            texts: dict[str, list[str]] = {}
            for kind, data in self._events(socket, prompt_id, started + timeout):
                if kind == "execution_cached":
                    cached += data["nodes"]
                elif kind == "executing" and data["node"] is not None:
                    times[data["node"]] = time.monotonic()
                    _tell(on_progress, prompt, data["node"], 0, 0)
                elif kind == "text":
                    texts.setdefault(data["node"], []).append(data["text"])
                elif kind == "progress":
                    _tell(on_progress, prompt, data["node"], data["value"], data["max"])
        finally:
            socket.close()
        ended = time.monotonic()
        outputs = self._finished(prompt_id, prompt)
        starts = [*times.values(), ended]
        seconds = {node: starts[i + 1] - starts[i] for i, node in enumerate(times)}
        return Result(prompt_id, outputs, ended - started, tuple(cached), seconds, texts)

    def _events(self, socket: WebSocket, prompt_id: str, deadline: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """The server's messages about one prompt until it has ended, however it ended."""
        checked = time.monotonic()
        while True:
            if time.monotonic() > deadline:
                raise TimeoutError(f"The server at port {self.port} did not finish the prompt in time.")
            message = socket.receive(timeout=2.0)
            if isinstance(message, str):
                event = json.loads(message)
                kind, data = event["type"], event.get("data") or {}
                if data.get("prompt_id") == prompt_id:
                    yield kind, data
                    if kind in ("execution_success", "execution_error", "execution_interrupted"):
                        return
            elif message and int.from_bytes(message[:4], "big") == _TEXT_EVENT:
                end = 8 + int.from_bytes(message[4:8], "big")
                yield "text", {"node": message[8:end].decode(), "text": message[end:].decode()}
            # The history is the last word, should a message have been lost.
            if message is None or time.monotonic() - checked > 10.0:
                checked = time.monotonic()
                if prompt_id in self.get(f"/history/{prompt_id}"):
                    return

    def _finished(self, prompt_id: str, prompt: Prompt) -> dict[str, dict[str, Any]]:
        # The last message comes a moment before the history is written.
        for _ in range(100):
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry:
                break
            time.sleep(0.1)
        else:
            raise TimeoutError(f"The server at port {self.port} ended the prompt but wrote no history of it.")
        for kind, data in entry["status"].get("messages", []):
            if kind == "execution_interrupted":
                raise Interrupted("The prompt was cancelled.", node=str(data.get("node_id", "")), kind="interrupted")
            if kind == "execution_error":
                node = str(data["node_id"])
                raise PromptError(
                    f"{_title(prompt, node)}: {data['exception_message'].strip()}",
                    node=node,
                    kind=data["exception_type"],
                    traceback="".join(data.get("traceback") or []),
                )
        return entry["outputs"]

    def interrupt(self) -> None:
        """Cancel the prompt that is running."""
        self.post("/interrupt", {})

    def fetch(self, file: dict[str, str], target: Path) -> Path:
        """Save one of a `Result`'s files as ``target``."""
        query = urllib.parse.urlencode({key: file[key] for key in ("filename", "subfolder", "type")})
        target.write_bytes(self.read(f"/view?{query}", timeout=120.0))
        return target


def _tell(
    on_progress: Callable[[Progress], None] | None, prompt: Prompt, node: str, value: float, maximum: float
) -> None:
    if on_progress:
        on_progress(Progress(node, prompt.get(node, {}).get("class_type", ""), value, maximum))


def _title(prompt: Prompt, node: str) -> str:
    entry = prompt.get(node, {})
    return f"{entry.get('class_type', 'node')} (node {node})"


def _refusal(body: str, prompt: Prompt) -> str:
    """The server's JSON complaint as text: what is wrong in general, then node by node."""
    try:
        answer = json.loads(body)
    except ValueError:
        return f"The server refused the prompt: {body[:500]}"
    error = answer.get("error", {})
    lines = [f"The server refused the prompt: {error.get('message', error)} {error.get('details', '')}".rstrip()]
    for node, complaint in (answer.get("node_errors") or {}).items():
        for item in complaint["errors"]:
            lines.append(f"  {_title(prompt, node)}: {item['message']}: {item['details']}")
    return "\n".join(lines)
