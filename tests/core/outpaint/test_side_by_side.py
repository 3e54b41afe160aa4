"""Works in threads: how many, where they are heard, and what becomes of those that are left."""

from __future__ import annotations

import threading

import pytest

from m3ddm_core.outpaint.side_by_side import SideBySide


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_work_at_once_than_asked_and_all_is_heard_here(most):
    here, lock = threading.current_thread(), threading.Lock()
    running, largest, heard, results = [0], [0], [], {}

    def work(later, number):
        with lock:
            running[0] += 1
            largest[0] = max(largest[0], running[0])
        later(lambda: heard.append((number, threading.current_thread() is here)))
        with lock:
            running[0] -= 1
        return 2 * number

    with SideBySide(most) as side:
        for number in range(7):
            side.start(lambda later, number=number: work(later, number), lambda r, n=number: results.update({n: r}))
            side.listen()
        side.finish()
    assert results == {number: 2 * number for number in range(7)}
    assert sorted(heard) == [(number, True) for number in range(7)]
    assert largest[0] <= most


def test_two_works_run_at_the_same_time():
    together, done = threading.Barrier(2, timeout=120), []
    with SideBySide(2) as side:
        for _ in range(2):
            side.start(lambda later: together.wait(), done.append)
        side.finish()
    assert sorted(done) == [0, 1]


@pytest.mark.parametrize("most", [1, 2])
def test_what_a_work_raises_is_raised_here_and_the_others_are_stopped(most):
    stopped = []

    def fail(later):
        raise ValueError("broken")

    def go_on(later):
        assert side._stopped.wait(120), "nobody listens any more: the context is left"
        try:
            later(lambda: None)
        except BaseException as error:
            stopped.append(type(error).__name__)
            raise

    with pytest.raises(ValueError, match="broken"), SideBySide(most) as side:
        if most == 2:
            side.start(go_on, print)
        side.start(fail, print)
        side.finish()
    assert stopped == (["_Stopped"] if most == 2 else [])


def test_what_is_heard_may_stop_all():
    """As when the user presses stop: the progress bar raises."""

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), SideBySide(2) as side:
        side.start(lambda later: later(stop), print)
        side.finish()
