"""Some four hundred broken and hostile files: loaded right, or refused in one line that names the file; see
docs/hostile_files.md, whose table this holds to what is tried.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m3ddm_core.__main__ import main
from m3ddm_core.checkpoint import CheckpointError, expected_shapes, read_checkpoint
from m3ddm_core.checkpoint.recognise import LONGEST_MESSAGE, shown
from m3ddm_core.unet import M3DDM_CONFIG
from tests.helpers.checkpoint_files import assert_same, load_seeded_weights
from tests.helpers.hostile import EITHER, RIGHT, TOLD, all_cases, by_kind
from tests.helpers.hostile.networks import SMALL
from tests.helpers.hostile.pickles import SPRUNG

CASES = all_cases()

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 10.0
"""Of processor time, which a busy machine lengthens little; none took 0.8 where this was written."""


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    arrays = load_seeded_weights().seeded_state_dict(expected_shapes(replace(M3DDM_CONFIG, **SMALL)))
    return {
        name: torch.from_numpy(array) if array.dtype.kind == "i" else torch.from_numpy(array).half()
        for name, array in arrays.items()
    }


def is_one_line(text: str, path: Path) -> bool:
    """Whether a message is printable, not too long, and names the file."""
    name = shown(path.name, LONGEST_MESSAGE)[:20]
    return text.isprintable() and len(text) <= LONGEST_MESSAGE + 100 and name in text


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_file_is_loaded_right_or_refused_in_one_line(tmp_path, weights, case):
    path = case.write(tmp_path, weights)
    started = time.process_time()
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        assert case.outcome in (TOLD, EITHER), error
        assert is_one_line(str(error), path), error
        assert ";" in str(error) or ". " in str(error), "no remedy"
    else:
        assert case.outcome in (RIGHT, EITHER)
        if case.exact:
            assert_same(checkpoint.state_dict, weights)
    assert time.process_time() - started < SECONDS
    assert not (tmp_path / SPRUNG).exists()


@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_convert_writes_a_file_or_one_line(tmp_path, weights, case, capsys):
    path, target = case.write(tmp_path, weights), tmp_path / "converted.safetensors"
    code = main(["convert", str(path), str(target)])
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    if code:
        assert (code, case.outcome == RIGHT) == (2, False)
        assert len(said.err.splitlines()) == 1
        assert not target.exists()
    else:
        assert case.outcome in (RIGHT, EITHER)
        assert not case.exact or read_checkpoint(target).state_dict.keys() == weights.keys()
    assert not list(tmp_path.glob(".*.partial"))
    assert not (tmp_path / SPRUNG).exists()


BOUNDED = """
import json, resource, sys
from m3ddm_core.checkpoint import CheckpointError, read_checkpoint

def held(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))

paths, spare = json.loads(sys.argv[1]), int(sys.argv[2])
try:
    read_checkpoint(paths[0])
except CheckpointError:
    pass
limit = held("VmSize") + spare
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before = held("VmHWM")
said = []
for path in paths:
    try:
        read_checkpoint(path)
        said.append("")
    except CheckpointError as error:
        said.append(str(error))
print(json.dumps([held("VmHWM") - before, said]))
"""
"""Reads files one after the other in so much more address space than the imports took, and prints what that came to."""

SPARE = 400 << 20
SWELLS_AT_MOST = 300 << 20
"""The largest of these files has 64 MB."""
DANGEROUS = ("endless pickle", "impossible tensor", "archive", "safetensors header")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's way to ask for memory")
def test_dangerous_files_take_little_memory(tmp_path, weights):
    cases = [case for case in CASES if case.kind in DANGEROUS and case.outcome == TOLD]
    paths = []
    for number, case in enumerate(cases):
        (tmp_path / str(number)).mkdir()
        paths.append(str(case.write(tmp_path / str(number), weights)))
    command = [sys.executable, "-c", BOUNDED, json.dumps(paths), str(SPARE)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    swelled, said = json.loads(run.stdout)
    assert [str(case) for case, text in zip(cases, said, strict=True) if not text] == []
    assert swelled < SWELLS_AT_MOST


def test_the_page_has_the_table():
    page = (ROOT / "docs" / "hostile_files.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    written = {row[0].partition(":")[0]: [int(number) for number in row[1:]] for row in rows}
    assert written == {
        kind: [len(cases), *(sum(case.outcome == outcome for case in cases) for outcome in (RIGHT, TOLD, EITHER))]
        for kind, cases in by_kind(CASES)
    }
