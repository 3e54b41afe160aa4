"""The journal on disk: whole entries or none, whatever lies in its folder, within bounds, with several at it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from m3ddm_core.journal import entry
from m3ddm_core.journal.digest import digest
from m3ddm_core.journal.store import Journal

ROOT = Path(__file__).resolve().parents[3]
KEY, OTHER = digest("a clip"), digest("another")
CLIP = torch.randn(4, 16, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def file(journal, key=KEY):
    return journal.folder / f"{key}.safetensors"


def test_what_was_put_is_taken_in_another_process_too(journal):
    assert journal.take(KEY) is None and not journal.folder.exists()
    journal.put(KEY, CLIP)
    assert torch.equal(journal.take(KEY), CLIP) and torch.equal(Journal(journal.folder).take(KEY), CLIP)
    assert journal.take(OTHER) is None
    half = CLIP.half()
    journal.put(KEY, half.transpose(0, 1).contiguous().transpose(0, 1))
    assert journal.take(KEY).dtype is torch.float16 and torch.equal(journal.take(KEY), half)
    assert [path.name for path in journal.folder.iterdir()] == [file(journal).name]


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in its head": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "cut in its values": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "flipped at the end": lambda path: flip(path, -1),
    "flipped in its values": lambda path: flip(path, -300),
    "flipped in its head": lambda path: flip(path, 40),
    "a huge head": lambda path: path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}"),
    "deep": lambda path: path.write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000),
    "text": lambda path: path.write_text("no journal"),
    "of another kind": lambda path: save_file({"latents": CLIP}, path),
    "another checksum": lambda path: save_file({"latents": CLIP, "checksum": torch.zeros(32, dtype=torch.uint8)}, path),
    "a checksum of another shape": lambda path: save_file({"latents": CLIP, "checksum": torch.zeros(1)}, path),
    "another clip's": lambda path: (path.unlink(), entry.write_entry(path, OTHER, CLIP)),
    "not finite": lambda path: entry.write_entry(path, KEY, CLIP / 0),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "too large": lambda path: os.truncate(path, entry.MOST_BYTES + 1),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_entry_is_passed_over_with_one_warning(kind, journal, caplog):
    for key in (KEY, OTHER):
        journal.put(key, CLIP)
        BROKEN[kind](file(journal, key))
        if kind == "another clip's" and key == OTHER:
            flip(file(journal, key), -1)
        assert journal.take(key) is None
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1 and file(journal).name in warnings[0] and "made again" in warnings[0]
    if kind != "a folder":
        journal.put(KEY, CLIP)
        assert torch.equal(journal.take(KEY), CLIP)


def test_no_flipped_bit_passes(journal):
    journal.put(KEY, CLIP)
    whole = file(journal).read_bytes()
    for at in range(0, len(whole), 7):
        file(journal).write_bytes(whole)
        flip(file(journal), at)
        taken = journal.take(KEY)
        # White space and the like may change without changing what is said.
        assert taken is None or torch.equal(taken, CLIP)


@pytest.mark.parametrize("what", ["fsync", "replace"])
def test_a_write_that_fails_leaves_nothing_and_stops_nothing(what, journal, monkeypatch, caplog):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    journal.put(OTHER, CLIP)
    monkeypatch.setattr(entry.os, what, full)
    for _ in range(2):
        journal.put(KEY, CLIP)
    assert [path.name for path in journal.folder.iterdir()] == [file(journal, OTHER).name]
    assert caplog.text.count("it cannot be written: No space left on device") == 1


def test_a_folder_that_cannot_be_one_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    journal = Journal(tmp_path / "file" / "journal")
    journal.put(KEY, CLIP)
    assert journal.take(KEY) is None and "cannot be" in caplog.text
    journal.empty()


def test_the_longest_unused_go_first(tmp_path):
    keys = [digest(number) for number in range(6)]
    journal, now = Journal(tmp_path / "journal"), time.time()
    for number, key in enumerate(keys):
        journal.put(key, CLIP)
        os.utime(file(journal, key), (now - 600 + number, now - 600 + number))
    assert journal.take(keys[0]) is not None, "it is used now"
    size = file(journal, keys[0]).stat().st_size
    Journal(journal.folder, most_bytes=3 * size + 1).prune()
    assert {path.stem for path in journal.folder.iterdir()} == {keys[0], keys[4], keys[5]}
    Journal(journal.folder, most_days=300 / 86_400).prune()
    assert {path.stem for path in journal.folder.iterdir()} == {keys[0]}


def test_it_stays_within_its_bound_while_it_is_written(tmp_path):
    probe = Journal(tmp_path / "probe")
    probe.put(KEY, CLIP)
    size = file(probe).stat().st_size
    journal = Journal(tmp_path / "journal", most_bytes=10 * size)
    for number in range(100):
        journal.put(digest(number), CLIP)
    assert 10 <= len(list(journal.folder.iterdir())) <= 10 + 16
    assert journal.take(digest(99)) is not None


def test_it_is_emptied_of_what_is_its_own_alone(journal):
    journal.put(KEY, CLIP)
    for name in ("notes.txt", "model.safetensors", f".{'0' * 32}.part"):
        (journal.folder / name).write_bytes(b"x")
    journal.empty()
    assert sorted(path.name for path in journal.folder.iterdir()) == ["model.safetensors", "notes.txt"]
    for path in journal.folder.iterdir():
        path.unlink()
    journal.empty()
    assert not journal.folder.exists()
    journal.empty()


def test_what_a_killed_writer_left_is_cleared_and_what_one_is_writing_is_not(journal):
    journal.put(KEY, CLIP)
    old, new = (journal.folder / f".{digit * 32}.part" for digit in "01")
    for path, age in ((old, 7200), (new, 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    journal.prune()
    assert not old.exists() and new.exists() and journal.take(KEY) is not None


WRITER = """
import sys, torch
from m3ddm_core.journal.digest import digest
from m3ddm_core.journal.store import Journal

journal = Journal(sys.argv[1], most_bytes=40_000)
for round in range(3):
    for number in range(40):
        clip = torch.full((4, 16, 2, 2), float(number))
        taken = journal.take(digest(number))
        assert taken is None or torch.equal(taken, clip), number
        journal.put(digest(number), clip)
"""


def test_two_processes_at_one_journal_get_whole_clips_or_none(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "journal")]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert not any("journal in" in text for text in said), said
    assert not [path for path in (tmp_path / "journal").iterdir() if path.suffix == ".part"]
