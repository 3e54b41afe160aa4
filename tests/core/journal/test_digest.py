"""One hash of anything: the same in every process, another for whatever differs, and no guesses."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from m3ddm_core.journal.digest import Unidentified, digest
from m3ddm_core.sampling.guidance import Branch, Guidance

ROOT = Path(__file__).resolve().parents[3]


class Adapter:
    """Like a LoRA of ComfyUI's: an object that holds tensors."""

    def __init__(self, strength, weights):
        self.strength, self.weights = strength, weights

    def apply(self, weight):
        return weight


class Slotted:
    __slots__ = ("value",)


class Counted(list):
    pass


def scaling(factor):
    return lambda x: x * factor


def adding(factor):
    return lambda x: x + factor


def looped():
    ring = [1]
    ring.append(ring)
    return ring


DIFFERENT = {
    "numbers and texts": [1, 1.0, "1", True, None, b"1", [1], (1,), {1}, frozenset({1}), {1: None}, 1 + 0j],
    "nesting": [[1, 2], [[1], 2], [[1, 2]], [1, [2]], ["1", "2"], ["1, 2"], [12]],
    "signs and nothing": [slice(1), slice(2), ..., 0.0, -0.0, float("nan"), float("inf"), "", [], {}, ()],
    "order": [{"a": 1, "b": 2}, {"a": 2, "b": 1}, [("a", 1), ("b", 2)]],
    "tensors": [
        torch.zeros(4),
        torch.zeros(2, 2),
        torch.zeros(4, dtype=torch.float16),
        torch.zeros(4, dtype=torch.int32),
        torch.tensor([0.0, 0, 0, 1e-30]),
        torch.tensor([0.0, 0, 1e-30, 0]),
        torch.zeros(0),
        torch.tensor(0.0),
    ],
    "settings": [Guidance(2.0, 4.0), Guidance(4.0, 2.0), Guidance(2.0, 4.0, end=0.5), Branch.FULL, Branch.MASKED_VIDEO],
    "functions": [scaling(2), scaling(3), adding(2), math.sin, math.cos, functools.partial(scaling, 2), Adapter.apply],
    "adapters": [
        Adapter(1.0, [torch.ones(2)]),
        Adapter(0.5, [torch.ones(2)]),
        Adapter(1.0, [torch.zeros(2)]),
        Adapter(1.0, [torch.ones(2)]).apply,
        Adapter(0.5, [torch.ones(2)]).apply,
        Adapter,
    ],
    "rings": [looped(), [1, [1, 1]], [1]],
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_what_differs_has_another_hash(kind):
    assert len({digest(value) for value in DIFFERENT[kind]}) == len(DIFFERENT[kind])


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": [1, 2.5, "x", None], "b": {3, 1, 2}},
        lambda: torch.arange(24.0).reshape(2, 3, 4).transpose(0, 2),
        lambda: scaling(2),
        lambda: Adapter(1.0, (torch.ones(2), scaling(torch.ones(1)))),
        lambda: torch.nn.Linear(2, 2).requires_grad_(False).load_state_dict,
        looped,
    ],
)
def test_what_is_alike_has_the_same_hash(make):
    torch.manual_seed(0)
    first = digest(make())
    torch.manual_seed(0)
    assert digest(make()) == first


def test_a_view_counts_as_what_it_shows():
    whole = torch.arange(12.0).reshape(3, 4)
    assert digest(whole.T) == digest(whole.T.contiguous()) != digest(whole)
    assert digest(whole[1]) == digest(whole[1].clone())


def test_it_is_the_same_in_every_process():
    code = "import torch; from m3ddm_core.journal.digest import digest; "
    code += "from m3ddm_core.sampling.guidance import Guidance; "
    code += "print(digest([{'a', 'b', 'c', ('d', 1)}, {'t': torch.arange(4.0)}, Guidance(), Guidance.weights]))"
    command = [sys.executable, "-c", code]
    said = [
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    here = digest([{("d", 1), "c", "b", "a"}, {"t": torch.arange(4.0)}, Guidance(), Guidance.weights])
    assert [answer.stdout.decode().strip() for answer in said] == [here, here]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (torch.Generator(), "Generator does not show what is in it"),
        (torch.zeros(2, device="meta"), "tensor"),
        (torch.zeros(2, 2).to_sparse(), "tensor"),
        (threading.Lock(), "lock"),
        (Slotted(), "Slotted"),
        (Counted([1]), "Counted"),
        (iter([1]), "list_iterator"),
        ([1].append, "append"),
        (scaling(threading.Lock()), "lock"),
        (list(range(500_001)), "500,000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_show_what_is_in_it_is_refused(value, what):
    with pytest.raises(Unidentified, match=what):
        digest(value)
