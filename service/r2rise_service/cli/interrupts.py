"""Ctrl-C ends a command within seconds, whatever it is doing."""

import os
import signal
import sys
import threading
import time
from typing import Any

EXIT_INTERRUPTED = 130

GRACE_SECONDS = 1.0
"""Time for a command to end in order after Ctrl-C."""

_SHOW_CURSOR = "\x1b[?25h"
"""Progress bars hide the cursor of a terminal."""


class InterruptWatch:
    """Turns the first Ctrl-C into a `KeyboardInterrupt`, and ends the process soon after it.

    The exception alone is not enough. Some packages swallow it while they are imported, and code
    that is not Python does not see it. What was retrained is in the journal of the ledger by then,
    and files are replaced only when they are complete, so that this loses nothing. Further Ctrl-C
    are ignored, as ending in order must not be interrupted.

    A command that sets another handler, such as the server, ends by itself.

    Attributes:
        words: What to print if the command did not end in order.
        has_ended: Whether the command ended and printed what there is to say.
    """

    def __init__(self) -> None:
        self.words = "Stopped."
        self.has_ended = False
        self._was_pressed = False
        self._signals, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._end_late, daemon=True).start()

    def _interrupt(self, *_: Any) -> None:
        if not (self._was_pressed or self.has_ended):
            self._was_pressed = True
            raise KeyboardInterrupt

    def _end_late(self) -> None:
        """Wait for Ctrl-C, then for the command; end the process if it is still there."""
        while os.read(self._signals, 1)[0] != signal.SIGINT or not self._is_watching:
            pass
        time.sleep(GRACE_SECONDS)
        if "multiprocessing" in sys.modules:
            for child in sys.modules["multiprocessing"].active_children():
                child.kill()
        if not self.has_ended:
            cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
            os.write(2, f"{cursor}{self.words}\n".encode())
        os._exit(EXIT_INTERRUPTED)

    @property
    def _is_watching(self) -> bool:
        return signal.getsignal(signal.SIGINT) == self._interrupt
