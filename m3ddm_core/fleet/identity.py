"""What two machines must have alike for a clip to come out the same on both, and how to say what they have not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]

MUST_AGREE = {
    "code": "version of this library",
    "torch": "version of torch",
    "network": "network",
    "vae": "VAE",
    "dtype": "dtype",
}
"""What of an identity, and how it is called."""
SHOWN = 12
"""Letters of a hash that are shown."""


@cache
def code_digest() -> str:
    """Hash this library's source files, in hexadecimal."""
    sha = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.py")):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        sha.update(f"{path.relative_to(ROOT).as_posix()} {len(content)}:".encode())
        sha.update(content)
    return sha.hexdigest()


def own_identity(network: str, vae: str, dtype: str) -> dict[str, str]:
    """What a machine has that is given hashes of its weights."""
    return {
        "code": code_digest(),
        "torch": str(torch.__version__),
        "network": network,
        "vae": vae,
        "dtype": dtype,
    }


def difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Say in what a worker differs, "" where it does in nothing that counts."""
    return "; ".join(
        f"got another {what} ({theirs.get(name, 'none')[:SHOWN]}), expected that of the one who asks "
        f"({ours[name][:SHOWN]})"
        for name, what in MUST_AGREE.items()
        if theirs.get(name) != ours[name]
    )
