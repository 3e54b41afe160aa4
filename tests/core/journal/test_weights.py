"""The hash of a file of weights: of all its bytes, and of the file that was loaded."""

from __future__ import annotations

import os

import pytest

from m3ddm_core.journal import weights
from m3ddm_core.journal.digest import Unidentified
from m3ddm_core.journal.weights import WeightsFile


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(weights, "CHUNK", 64)


def of(path, content):
    path.write_bytes(content)
    return WeightsFile.at(path).digest()


def test_every_byte_counts_and_the_name_does_not(tmp_path):
    content = bytes(range(256)) * 2
    whole = of(tmp_path / "a.bin", content)
    assert of(tmp_path / "b.bin", content) == whole
    changed = [content[:n] + bytes([content[n] ^ 1]) + content[n + 1 :] for n in (0, 63, 64, 300, 511)]
    others = [of(tmp_path / f"{n}.bin", other) for n, other in enumerate([*changed, content[:-1], content + b"0", b""])]
    swapped = of(tmp_path / "swapped.bin", content[64:128] + content[:64] + content[128:])
    assert len({whole, swapped, *others}) == len(others) + 2


def test_a_file_that_was_changed_since_it_was_loaded_is_not_taken_for_what_was_loaded(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 100)
    loaded = WeightsFile.at(path)
    first, status = loaded.digest(), path.stat()
    other = tmp_path / "other.bin"
    other.write_bytes(b"y" * 100)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)
    with pytest.raises(Unidentified, match=r"a\.bin is no longer the file that was loaded"):
        loaded.digest()
    assert WeightsFile.at(path).digest() != first
    path.unlink()
    for file in (loaded, WeightsFile.at(path)):
        with pytest.raises(Unidentified, match=r"a\.bin is no longer the file that was loaded"):
            file.digest()


def test_a_folder_counts_with_all_that_lies_in_it(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    (tmp_path / "unet" / "weights.bin").write_bytes(b"x" * 100)
    first = WeightsFile.at(tmp_path).digest()
    (tmp_path / "unet" / "config.json").write_text("[]")
    assert WeightsFile.at(tmp_path).digest() != first
