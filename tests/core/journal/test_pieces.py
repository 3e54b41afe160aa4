"""Encoded shots on disk: what was put comes back frame by frame, and only as much is put as there is room for."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from m3ddm_core.journal import pieces
from m3ddm_core.journal.digest import digest
from m3ddm_core.journal.pieces import PieceJournal, pieces_in
from m3ddm_core.journal.store import BULKY, Journal

KEY, OTHER = "a shot", "another"


def packets(count, size=100, seed=0):
    draw = torch.Generator().manual_seed(seed)
    data = torch.randint(0, 256, (count, size), generator=draw, dtype=torch.uint8)
    return [(number % 5 == 0, data[number].numpy().tobytes()[: size - number % 3]) for number in range(count)]


def put(journal, key, given):
    keep = PieceJournal(journal).put(key, len(given))
    for packet in given:
        keep(packet)


def taken(journal, key):
    return list(PieceJournal(journal).take(key))


def names(journal):
    return sorted(path.name for path in journal.folder.iterdir())


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


@pytest.mark.parametrize("count", [1, 7, 64])
def test_what_was_put_comes_back(journal, count, monkeypatch):
    monkeypatch.setattr(pieces, "PART_BYTES", 1000)
    given = packets(count)
    put(journal, KEY, given)
    assert taken(journal, KEY) == given and taken(journal, OTHER) == []
    assert len(names(journal)) == -(-count // 11) and all(f"{BULKY}.safetensors" in name for name in names(journal))
    put(journal, OTHER, [(True, b""), (False, b"x")])
    assert taken(journal, OTHER) == [(True, b""), (False, b"x")] and taken(journal, KEY) == given


def test_a_part_that_is_gone_or_damaged_ends_it(journal, monkeypatch, caplog):
    monkeypatch.setattr(pieces, "PART_BYTES", 1000)
    given = packets(33)
    put(journal, KEY, given)
    middle = journal.folder / f"{digest((KEY, 1))}{BULKY}.safetensors"
    content = bytearray(middle.read_bytes())
    content[-1] ^= 1
    middle.write_bytes(content)
    assert taken(journal, KEY) == given[:11] and "cannot be used" in caplog.text
    middle.unlink()
    assert taken(journal, KEY) == given[:11]


STRANGE = {
    "floats": torch.zeros(40),
    "nothing": torch.zeros(0, dtype=torch.uint8),
    "short": torch.zeros(5, dtype=torch.uint8),
    "a huge count": torch.full((64,), 255, dtype=torch.uint8),
    "too long": torch.cat([torch.zeros(8), torch.tensor([1, 0, 0, 0, 0, 0, 0, 0]), torch.zeros(30)]).to(torch.uint8),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_piece_is_none(name, journal):
    journal.put(digest((KEY, 0)), STRANGE[name], BULKY)
    assert taken(journal, KEY) == []


def test_parts_that_were_cut_otherwise_are_not_joined(journal):
    given, kept = packets(33), PieceJournal(journal)
    for number, first in ((0, 0), (1, 11), (2, 22)):
        kept.put_part(KEY, number, first, given[first : first + 16])
    assert taken(journal, KEY) == given[:16], "the second begins within the first"
    kept.put_part(KEY, 1, 16, given[16:22])
    assert taken(journal, KEY) == given


def test_no_more_is_kept_than_a_share_of_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PART_BYTES", 1000)
    journal = Journal(tmp_path, most_bytes=9000)
    kept = PieceJournal(journal)
    for number in range(5):
        keep = kept.put(str(number), 20)
        for packet in packets(20):
            keep(packet)
    assert [len(taken(journal, str(number))) for number in range(5)] == [20, 20, 0, 0, 0], "those first put stay"
    again = PieceJournal(journal)
    assert len(list(again.take("0"))) == 20
    put_now = [again.put(key, 20) for key in ("5", "6")]
    for packet in packets(20):
        put_now[0](packet)
    for packet in packets(20):
        put_now[1](packet)
    assert taken(journal, "5") and not taken(journal, "6"), "what is taken counts too"


def test_of_a_shot_that_will_not_fit_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PART_BYTES", 1000)
    journal = Journal(tmp_path / "journal", most_bytes=3000)
    put(journal, KEY, packets(200))
    assert not journal.folder.exists()


def test_the_disk_is_left_to_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=8 * 2000))
    journal = Journal(tmp_path / "not" / "there")
    put(journal, KEY, packets(15))
    put(journal, OTHER, packets(25))
    assert taken(journal, KEY) and not taken(journal, OTHER)


def test_pieces_go_before_all_else(journal):
    latents = torch.zeros(100)
    journal.put(digest("clip"), latents)
    put(journal, KEY, packets(4))
    put(journal, OTHER, packets(4))
    clip, *_ = (path for path in journal.folder.iterdir() if BULKY not in path.name)
    os.utime(clip, (1_800_000_000, 1_800_000_000))
    for key, when in ((KEY, 1_800_000_100), (OTHER, 1_800_000_200)):
        os.utime(journal.folder / f"{digest((key, 0))}{BULKY}.safetensors", (when, when))
    sizes = {path.name: path.stat().st_size for path in journal.folder.iterdir()}
    Journal(journal.folder, most_bytes=sum(sizes.values()) - 1, most_days=1e6).prune()
    assert not taken(journal, KEY) and taken(journal, OTHER) and journal.take(digest("clip")) is not None
    Journal(journal.folder, most_bytes=sizes[clip.name], most_days=1e6).prune()
    assert names(journal) == [clip.name]
    put(journal, KEY, packets(4))
    journal.empty()
    assert not journal.folder.exists()


def test_without_a_journal_there_are_none(journal):
    assert pieces_in(None) is None and list(pieces_in(journal).take(KEY)) == []
