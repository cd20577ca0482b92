"""The child process of `isolation.py`: retrains the shards that its parent sends."""

import os
import queue
import sys
import threading
from multiprocessing.connection import Connection
from typing import NoReturn

from r2rise.run.retraining import keep_going, unpack_retrainer
from r2rise.run.shards import Shard


def main() -> NoReturn:
    """Retrain shards until the parent process ends."""
    pipe = Connection(int(sys.argv[1]))
    packed = pipe.recv_bytes()
    shards: queue.SimpleQueue[Shard] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, shards), daemon=True).start()
    retrainer = unpack_retrainer(packed)
    while True:
        shard = shards.get()
        pipe.send("started")
        pipe.send(retrainer.run(shard, keep_going))


def _listen(pipe: Connection, shards: "queue.SimpleQueue[Shard]") -> None:
    """Queue the parent's shards; when the parent ends, exit at once, even in mid-training."""
    try:
        while True:
            shards.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(1)


if __name__ == "__main__":
    main()
