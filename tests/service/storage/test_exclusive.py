"""Locks that one holder among all processes has."""

import subprocess
import sys
import threading
import time

from sqlalchemy import create_engine, text

from r2rise_service.storage import Store

HOLD = """
import sys, time
from r2rise_service.storage import Store
lock = Store(sys.argv[1]).exclusive_lock("it")
assert lock.acquire(wait=False)
print("held", flush=True)
time.sleep(60)
"""


def test_one_has_it_at_a_time(store):
    first, second, other = (store.exclusive_lock(name) for name in ("it", "it", "another"))
    assert first.acquire(wait=False)
    assert first.acquire(wait=False)  # still
    assert first.is_held()
    assert not second.acquire(wait=False)
    assert not second.is_held()
    assert other.acquire(wait=False)
    first.release()
    assert not first.is_held()
    assert second.acquire(wait=False)
    second.release()
    other.release()


def test_the_next_waits_for_its_turn(store):
    turns = []

    def take(number):
        with store.exclusive_lock("it"):
            turns.append(number)
            time.sleep(0.05)
            turns.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert turns[::2] == turns[1::2]
    assert sorted(turns[::2]) == [0, 1, 2, 3]


def test_it_goes_with_a_killed_process(store, url):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    lock = store.exclusive_lock("it")
    assert not lock.acquire(wait=False)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert lock.acquire(wait=True)
    lock.release()


def test_who_lost_the_connection_notices(postgres_url):
    store = Store(postgres_url)
    first, second = store.exclusive_lock("it"), store.exclusive_lock("it")
    assert first.acquire(wait=False)
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        others = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({others}) AS holders"))
    engine.dispose()
    deadline = time.monotonic() + 30
    while first.is_held():  # the backend ends a little later
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert second.acquire(wait=True)
    assert not first.acquire(wait=False)
    second.release()
    assert first.acquire(wait=True)  # the lock is free once the backend of `second` has ended
    first.release()
    store.close()
