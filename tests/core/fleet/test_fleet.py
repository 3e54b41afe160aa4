"""The fleet over workers that are threads of this process: order, deaths, refusals, leaving; and the same bits."""

from __future__ import annotations

import queue
import threading
import time

import pytest
import torch

from m3ddm_core.fleet.fleet import MOST_STARTS, Fleet
from m3ddm_core.fleet.hand import FleetError, Lost, Order, OutOfMemory, Refused
from m3ddm_core.fleet.models import FleetSampler, fleet_models
from m3ddm_core.fleet.packets import BRANCH, ENCODE, SAMPLE, pack, unpack, unpack_batch
from m3ddm_core.fleet.shared import NOBODY
from m3ddm_core.journal.clips import ClipJournal
from m3ddm_core.journal.store import Journal
from m3ddm_core.outpaint.clips import NonFiniteLatents
from m3ddm_core.outpaint.stages import outpaint_video
from m3ddm_core.sampling.settings import SamplingSettings
from tests.helpers.blank_states import make_state

ADVICE = {"canvas_size": "128"}


def mixing_sampler(conditions, start, noise, callback):
    """Depends on everything it is given, on each clip alone."""
    result = start + 0.1 * noise + conditions.masked_video[:, :4].mean((1, 2, 3, 4), keepdim=True)
    result = result + conditions.blank_video[:, :4].mean((1, 2, 3, 4), keepdim=True) + conditions.fps
    for step in range(2):
        callback(step, 2, result)
    return result


class Inside:
    """A worker in this process. ``ails(count, order)`` may raise before the clip of that number of its own."""

    def __init__(self, name, ails=lambda count, order: None, sample=mixing_sampler, starts=(), device="cpu"):
        self.name, self.ails, self.sample, self.device = name, ails, sample, device
        self.starts, self.count, self.ended = list(starts), 0, False

    def start(self):
        trouble = self.starts.pop(0) if self.starts else None
        if trouble:
            raise trouble
        return {"device": self.device, "network": "n", "dtype": "torch.float32", "advice": ADVICE}

    def run(self, order, on_step, on_ask):
        self.count += 1
        self.ails(self.count, order)
        if order.what != SAMPLE:
            return pack(result=unpack(order.packed)["input"] * 2)

        def heard(step, steps, denoised):
            on_step(step, steps, pack(denoised=denoised))

        return pack(result=self.sample(*unpack_batch(order.packed), heard))

    def end(self):
        self.ended = True


def made(hands, frames=100, **options):
    with Fleet(hands) as fleet:
        return outpaint_video(make_state(frames), FleetSampler(fleet, SamplingSettings(), 3), seed=3, **options).latents


@pytest.fixture(scope="module")
def expected():
    return outpaint_video(make_state(100), mixing_sampler, seed=3).latents


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("clips_per_batch", [1, 3])
def test_a_fleet_makes_the_same_bits_as_one_machine(workers, clips_per_batch, expected):
    hands = [Inside(str(number)) for number in range(workers)]
    assert torch.equal(made(hands, clips_per_batch=clips_per_batch), expected)
    assert all(hand.ended for hand in hands)


def test_all_workers_of_a_wave_are_busy_at_once(expected):
    together = threading.Barrier(2, timeout=120)

    def meet(count, order):
        # The second level has a clip more than the chain of keyframes; the infill has many.
        if len(unpack_batch(order.packed)[0].masked_video) and unpack_batch(order.packed)[0].fps == 25:
            together.wait()

    hands = [Inside("a", meet), Inside("b", meet)]
    state = make_state(91)  # An infill of six clips, an even number.
    with Fleet(hands) as fleet:
        found = outpaint_video(state, FleetSampler(fleet, SamplingSettings(), 3), seed=3)
    assert torch.equal(found.latents, outpaint_video(state, mixing_sampler, seed=3).latents)


def test_what_a_dead_worker_was_at_is_done_again(expected, caplog):
    def die(count, order):
        if count in (2, 3, 5):
            raise Lost("killed")

    hands = [Inside("a", die), Inside("b", die)]
    assert torch.equal(made(hands), expected)
    assert "is gone (killed); what it was at is done again" in caplog.text


def test_a_worker_that_does_not_come_back_is_given_up_and_the_last_one_says_why(expected):
    def die(count, order):
        raise Lost("killed")

    ghost = Inside("ghost", die, starts=[None, *[Lost("no room")] * MOST_STARTS])
    assert torch.equal(made([ghost, Inside("b")]), expected)
    ghost = Inside("ghost", die, starts=[None, *[Lost("no room")] * MOST_STARTS])
    with pytest.raises(FleetError, match=r"no worker is left: ghost is gone \(killed\).*did not start: no room"):
        made([ghost])


def test_a_clip_that_kills_every_worker_is_not_tried_for_ever():
    def die(count, order):
        raise Lost("killed")

    with pytest.raises(FleetError, match="every worker that tried one clip died: killed"):
        made([Inside("a", die)])


def test_a_worker_of_another_kind_is_named_and_not_used(expected, caplog):
    other = Inside("other", starts=[Refused("got another network (abc), expected that of the one who asks (def)")])
    assert torch.equal(made([other, Inside("b")]), expected)
    assert other.count == 0 and "worker other: got another network (abc)" in caplog.text
    with pytest.raises(FleetError, match=r"got no worker that can be used: other: got another network"):
        made([Inside("other", starts=[Refused("got another network")])])


def test_what_is_too_large_for_one_worker_goes_to_another(expected):
    def small(count, order):
        raise OutOfMemory("12 GB wanted")

    hands = [Inside("small", small), Inside("large")]
    assert torch.equal(made(hands), expected)
    with pytest.raises(FleetError, match="no worker has memory enough: 12 GB wanted"):
        made([Inside("a", small), Inside("b", small)])


def test_a_task_that_only_a_worker_can_do_that_is_gone_is_named():
    """One worker has too little memory, the other dies for good over the same task."""

    def small(count, order):
        raise OutOfMemory("12 GB wanted")

    def die(count, order):
        raise Lost("killed")

    hands = [Inside("small", small), Inside("ghost", die, starts=[None, *[Lost("no room")] * MOST_STARTS])]
    with pytest.raises(FleetError, match="no worker"):
        made(hands)


def test_a_fault_of_a_worker_ends_the_video_and_not_the_fleet(expected):
    def fail_once(count, order):
        if count == 1:
            raise FleetError("worker a: ValueError: no such sampler")

    with Fleet([Inside("a", fail_once)]) as fleet:
        sampler = FleetSampler(fleet, SamplingSettings(), 3)
        with pytest.raises(FleetError, match="no such sampler"):
            outpaint_video(make_state(100), sampler, seed=3)
        assert torch.equal(outpaint_video(make_state(100), sampler, seed=3).latents, expected)


def test_a_fault_of_our_own_does_not_leave_anybody_waiting(expected, caplog):
    def fault(count, order):
        raise TypeError("not a number")

    with pytest.raises(TypeError, match="not a number"):
        made([Inside("a", fault)])
    assert torch.equal(made([Inside("odd", starts=[KeyError("advice")]), Inside("b")]), expected)
    assert "worker odd: KeyError('advice')" in caplog.text


def test_latents_that_are_no_numbers_are_named_with_their_frames():
    def spoil(conditions, start, noise, callback):
        callback(0, 2, start * float("nan"))
        return start

    with pytest.raises(NonFiniteLatents, match=r"in step 1 of 2 in the clip of frames 0 to"):
        made([Inside("a", sample=spoil)])


def test_who_leaves_takes_the_waiting_clips_along(expected):
    """As when the user presses stop: the callback raises, in the thread that asked."""
    asking = threading.current_thread()

    def stop(progress):
        assert threading.current_thread() is asking
        raise KeyboardInterrupt

    hands = [Inside("a"), Inside("b")]
    with Fleet(hands) as fleet:
        sampler = FleetSampler(fleet, SamplingSettings(), 3)
        with pytest.raises(KeyboardInterrupt):
            outpaint_video(make_state(100), sampler, seed=3, on_progress=stop)
        before = sum(hand.count for hand in hands)
        assert before <= 2
        assert torch.equal(outpaint_video(make_state(100), sampler, seed=3).latents, expected)


def test_progress_counts_every_step_and_ends_at_the_whole(expected):
    heard = []
    made([Inside("a"), Inside("b")], on_progress=heard.append)
    assert heard[-1].done == heard[-1].total == 2 * heard[-1].clip_count
    assert len(heard) == heard[-1].total
    assert all(0 < progress.clip_number <= progress.clip_count for progress in heard)


def test_a_journal_serves_fleet_and_machine_alike(tmp_path, expected):
    clips = ClipJournal(Journal(tmp_path), "recipe")
    outpaint_video(make_state(100), mixing_sampler, seed=3, journal=clips)
    hands = [Inside("a"), Inside("b")]
    assert torch.equal(made(hands, journal=clips), expected)
    assert sum(hand.count for hand in hands) == 0
    with Fleet([Inside("a")]) as fleet:
        models = fleet_models(fleet)
        assert len(models.recipe(SamplingSettings(), 3)) == 64
        assert models.recipe(SamplingSettings(), 3) == models.recipe(SamplingSettings(clips_per_batch=2), 3)
        assert models.advice.canvas_size == 128


def test_both_networks_are_asked_through_the_fleet():
    with Fleet([Inside("a")]) as fleet:
        models = fleet_models(fleet)
        assert torch.equal(models.encode(torch.ones(2, 8, 8, 3)), torch.full((2, 8, 8, 3), 2.0))
        with pytest.raises(ValueError, match="no such solver"):
            models.sampler(SamplingSettings(sampler="no such solver"), 0)


def test_videos_side_by_side_come_out_one_after_the_other(expected):
    """Two threads ask at once: what is nearer to done is never kept waiting by what is not."""
    order, gate = [], threading.Event()

    def note(count, asked):
        gate.wait(120)
        order.append(float(unpack(asked.packed)["input"][0]))

    with Fleet([Inside("a", note)]) as fleet:

        def ask(left, times):
            for _ in fleet.ask((Order(ENCODE, pack(input=torch.tensor([left]))) for _ in range(times)), left):
                pass

        threads = [threading.Thread(target=ask, args=(left, 2)) for left in (9.0, 1.0)]
        for thread in threads:
            thread.start()
        while len(fleet._schedule) < 4:
            time.sleep(0.01)
        gate.set()
        for thread in threads:
            thread.join(120)
    # The one that was begun before both were there may be of either.
    assert order[1:] in ([1.0, 1.0, 9.0], [1.0, 9.0, 9.0])


def test_a_closed_fleet_says_so_to_who_asks():
    begun, gate = threading.Event(), threading.Event()

    def hang(count, order):
        begun.set()
        gate.wait(120)

    fleet = Fleet([Inside("a", hang)])
    with pytest.raises(FleetError, match="the fleet was closed"), fleet:
        threading.Thread(target=lambda: (begun.wait(120), fleet.close())).start()
        fleet.one(Order(ENCODE, pack(input=torch.zeros(1))), 0)
    gate.set()
    with pytest.raises(FleetError, match="the fleet was closed"):
        fleet.one(Order(ENCODE, pack(input=torch.zeros(1))), 0)


class Asking(Inside):
    """Asks for two branches in its first clip, one after the other, and notes what it hears."""

    def __init__(self, name, ails=lambda count, order: None):
        super().__init__(name, ails)
        self.heard, self.helped = [], 0

    def run(self, order, on_step, on_ask):
        if order.what == BRANCH:
            self.helped += 1
            self.ails(self.helped, order)
            return order.packed[::-1]
        if not self.count:
            for branch in (b"12", b"34"):
                answers = queue.SimpleQueue()
                on_ask(branch, answers.put)
                self.heard.append(answers.get(timeout=60))
        return super().run(order, on_step, on_ask)


def one_clip(hands):
    """The hand that made it, with all present from the beginning."""
    with Fleet(hands) as fleet:
        fleet.wait_for_all()
        outpaint_video(make_state(16), FleetSampler(fleet, SamplingSettings(), 3), seed=3)
        return next(hand for hand in hands if hand.heard)


def test_a_branch_is_evaluated_by_a_worker_that_has_nothing_to_do():
    hands = [Asking("a"), Asking("b")]
    asking = one_clip(hands)
    assert asking.heard == [b"21", b"43"] and sum(hand.helped for hand in hands) == 2 and not asking.helped


def test_a_branch_is_not_waited_for_where_all_are_busy():
    assert one_clip([Asking("a")]).heard == [NOBODY, NOBODY]


@pytest.mark.parametrize("ailing", [Lost("killed"), OutOfMemory("12 GB wanted"), FleetError("a fault")])
def test_a_branch_that_is_lost_is_told_to_the_one_who_asked(ailing):
    def ail_once(count, order):
        if order.what == BRANCH and count == 1:
            raise ailing

    assert one_clip([Asking("a", ail_once), Asking("b", ail_once)]).heard[0] == NOBODY


def test_unlike_devices_are_told(caplog):
    with Fleet([Inside("a"), Inside("b", device="NVIDIA H100")]) as fleet:
        while len(fleet.devices) < 2:
            time.sleep(0.01)
    assert "unlike devices (NVIDIA H100, cpu)" in caplog.text
