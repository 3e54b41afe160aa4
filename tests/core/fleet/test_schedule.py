"""Who does what next."""

from __future__ import annotations

from m3ddm_core.fleet.schedule import MOST_DEATHS, Schedule


def taken(schedule, worker, count):
    """What one worker is given, one task after the other."""
    names = []
    for _ in range(count):
        names.append(schedule.take(worker))
        schedule.done(worker)
    return names


def test_what_is_nearest_to_done_comes_first_and_of_one_video_what_came_first():
    schedule = Schedule()
    for name, left in (("long 1", 40), ("long 2", 40), ("short 1", 3), ("decode", 0), ("short 2", 3)):
        schedule.add(name, left)
    assert taken(schedule, "a", 5) == ["decode", "short 1", "short 2", "long 1", "long 2"]
    assert schedule.take("a") is None and len(schedule) == 0


def test_a_task_is_with_one_worker_at_a_time():
    schedule = Schedule()
    schedule.add("clip", 1)
    assert schedule.take("a") == "clip" and schedule.take("b") is None
    schedule.done("a")
    assert schedule.take("b") is None


def test_the_task_of_a_dead_worker_is_done_again_before_those_that_came_later():
    schedule = Schedule()
    schedule.add("first", 5)
    schedule.add("second", 5)
    assert schedule.take("a") == "first"
    assert schedule.lost("a")
    assert taken(schedule, "b", 2) == ["first", "second"]
    assert schedule.lost("idle"), "a worker that had nothing takes nothing with it"


def test_a_task_that_kills_all_who_try_it_is_given_up():
    schedule = Schedule()
    schedule.add("deadly", 1)
    for worker in range(MOST_DEATHS):
        assert schedule.take(worker) == "deadly"
        assert schedule.lost(worker) == (worker < MOST_DEATHS - 1)
    assert schedule.take("another") is None and len(schedule) == 0


def test_what_one_worker_cannot_do_waits_for_another_and_is_stranded_without_one():
    schedule = Schedule()
    schedule.add("large", 1)
    schedule.add("small", 2)
    assert schedule.take("a") == "large"
    schedule.refused("a")
    assert schedule.stranded({"a", "b"}) == []
    assert schedule.take("a") == "small"
    assert schedule.take("b") == "large"
    schedule.refused("b")
    assert schedule.stranded({"a", "b"}) == ["large"]
    schedule.done("a")
    assert len(schedule) == 0


def test_a_dropped_task_is_given_to_nobody_and_its_end_hurts_nobody():
    schedule = Schedule()
    for name in ("waiting", "running"):
        schedule.add(name, 1)
    assert schedule.take("a") == "waiting"
    schedule.drop("waiting")
    schedule.drop("running")
    assert schedule.take("b") is None
    schedule.done("a")
    schedule.add("waiting", 1)
    assert schedule.take("a") == "waiting", "the same name again is another task"
    assert schedule.lost("a") and schedule.take("b") == "waiting"
