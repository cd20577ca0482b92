"""The child's side of `isolation.py`: retrains what its parent asks for."""

import os
import queue
import sys
import threading
from multiprocessing.connection import Connection
from typing import NoReturn

from r2rise.run.retraining import keep_going, unpack_retrainer
from r2rise.run.shards import Shard


def main() -> NoReturn:
    """Answer questions until the parent is gone."""
    pipe = Connection(int(sys.argv[1]))
    packed = pipe.recv_bytes()
    questions: queue.SimpleQueue[Shard] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, questions), daemon=True).start()
    retrainer = unpack_retrainer(packed)
    while True:
        shard = questions.get()
        pipe.send("started")
        pipe.send(retrainer.run(shard, keep_going))


def _listen(pipe: Connection, questions: "queue.SimpleQueue[Shard]") -> None:
    """Pass on questions; end the process, whatever it is doing, when the parent is gone."""
    try:
        while True:
            questions.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(1)


if __name__ == "__main__":
    main()
