"""As much of a WebSocket client (RFC 6455) as listening to a server on this machine takes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import struct

_ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # the constant of RFC 6455, section 1.3
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class WebSocket:
    """A connection that receives whole messages and answers pings."""

    def __init__(self, host: str, port: int, path: str, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._read_more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        expected = base64.b64encode(hashlib.sha1((key + _ACCEPT_SUFFIX).encode()).digest())
        if b" 101 " not in head.split(b"\r\n", 1)[0] or expected not in head:
            raise ConnectionError(f"The server refused the WebSocket: {head.decode(errors='replace')}")
        self._parts: list[bytes] = []
        self._text = False

    def receive(self, timeout: float) -> str | bytes | None:
        """The next message: text, bytes, or None where ``timeout`` seconds pass without one.

        Raises ConnectionError when the server has closed the connection.
        """
        self._socket.settimeout(timeout)
        try:
            while True:
                frame = self._take_frame()
                if frame is None:
                    self._read_more()
                    continue
                final, code, payload = frame
                if code == _CLOSE:
                    raise ConnectionError("The server closed the WebSocket.")
                if code == _PING:
                    self._send(_PONG, payload)
                if code not in (_CONTINUATION, _TEXT, _BINARY):
                    continue
                if code != _CONTINUATION:
                    self._parts, self._text = [], code == _TEXT
                self._parts.append(payload)
                if final:
                    message = b"".join(self._parts)
                    return message.decode() if self._text else message
        except TimeoutError:  # what has come of an unfinished frame stays in the buffer
            return None

    def close(self) -> None:
        """Close the connection without waiting for the server's answer."""
        with contextlib.suppress(OSError):
            self._send(_CLOSE, b"")
        self._socket.close()

    def _read_more(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("The server closed the connection.")
        self._buffer += data

    def _take_frame(self) -> tuple[bool, int, bytes] | None:
        """One whole frame out of the buffer, or None while part of it is still to come."""
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[:2]
        start, size = 2, second & 0x7F
        if size >= 126:
            layout, start = (">H", 4) if size == 126 else (">Q", 10)
            if len(self._buffer) < start:
                return None
            (size,) = struct.unpack(layout, self._buffer[2:start])
        if len(self._buffer) < start + size:
            return None
        payload, self._buffer = self._buffer[start : start + size], self._buffer[start + size :]
        return bool(first & 0x80), first & 0x0F, payload

    def _send(self, code: int, payload: bytes) -> None:
        mask = os.urandom(4)  # the RFC has clients mask every frame
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._socket.sendall(bytes((0x80 | code, 0x80 | len(payload))) + mask + masked)
