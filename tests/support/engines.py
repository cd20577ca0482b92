"""An engine that works backwards."""

from collections import deque

from r2rise.run.retraining import Retrainer, keep_going


class Backwards:
    """An engine whose shards end in the opposite order, three at a time."""

    window = 3

    def __init__(self, spoil=lambda record: record):
        self.waiting, self.done, self.closed, self.spoil = deque(), [], False, spoil

    def start(self, study, demonstrations):
        self.retrainer = Retrainer(study, demonstrations)

    def submit(self, shard):
        self.waiting.append(shard)

    def results(self):
        while self.waiting:
            shard = self.waiting.pop()
            self.done.append(shard)
            yield [self.spoil(record) for record in self.retrainer.run(shard, keep_going)]

    def close(self):
        self.closed = True
