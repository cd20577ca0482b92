"""Whose turn it is."""

from dataclasses import dataclass

from r2rise_service.queue.scheduling import admission_order, next_to_submit, worker_priority


@dataclass
class Work:
    """What scheduling sees of a job."""

    name: str
    priority: int = 0
    in_flight: int = 0
    has_more: bool = True


def submitted(works: list[Work], n: int) -> str:
    """The names of the jobs whose shards are submitted, one after the other."""
    names = ""
    for _ in range(n):
        work = next_to_submit(works)
        if work is None:
            break
        work.in_flight += 1
        names += work.name
    return names


def test_higher_priority_is_taken_up_first_and_of_equals_who_came_first():
    jobs = [Work("a"), Work("b", 5), Work("c", -1), Work("d", 5), Work("e")]
    assert [job.name for job in admission_order(jobs)] == ["b", "d", "a", "e", "c"]


def test_jobs_of_equal_priority_share_the_workers():
    assert submitted([Work("a"), Work("b", in_flight=2), Work("c")], 7) == "acacabc"


def test_higher_priority_has_all_its_shards_submitted_first():
    low, high = Work("a"), Work("b", 1, in_flight=9)
    assert submitted([low, high], 3) == "bbb"
    high.has_more = False
    assert submitted([low, high], 2) == "aa"
    low.has_more = False
    assert submitted([low, high], 1) == ""


def test_of_shards_that_wait_for_a_worker_those_of_higher_priority_are_next():
    works = [Work("a", priority) for priority in (-100, -1, 0, 3, 100)]
    assert sorted(works, key=worker_priority) == works
