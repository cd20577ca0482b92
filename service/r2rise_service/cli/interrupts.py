"""Ctrl-C ends a command within seconds, whatever it is doing."""

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from typing import Any

EXIT_INTERRUPTED = 130

_STEP_SECONDS = 0.1
_STEPS = 10
"""Time for a command to end in order after Ctrl-C, in steps."""

_SHOW_CURSOR = "\x1b[?25h"
"""Progress bars hide the cursor of a terminal."""


class InterruptWatch:
    """Turns the first Ctrl-C into a `KeyboardInterrupt`, and ends the process soon after it.

    The exception alone is not enough: code that is not Python does not see it, some packages
    swallow it while they are imported, and Python itself does in callbacks. The process is then
    ended. What was retrained is in the journal of the ledger by then, and files are replaced only
    when they are complete, so that nothing is lost. Further Ctrl-C are ignored: they would
    interrupt the orderly end.

    A command that sets another handler, such as the server, ends by itself.

    Attributes:
        words: What to print if the command did not end in order.
        has_ended: Whether the command ended and printed what there is to say.
    """

    def __init__(self) -> None:
        self.words = "Stopped."
        self.has_ended = False
        self._was_pressed = self._was_swallowed = False
        self._signals, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGINT, self._interrupt)
        sys.unraisablehook = self._note_swallowed
        atexit.register(self._end_early)  # the first to be registered is the last to be called
        threading.Thread(target=self._end_late, daemon=True).start()

    def _interrupt(self, *_: Any) -> None:
        if not (self._was_pressed or self.has_ended):
            self._was_pressed = True
            raise KeyboardInterrupt

    def _note_swallowed(self, unraisable: Any) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            self._was_swallowed = True
        else:
            sys.__unraisablehook__(unraisable)

    def _end_early(self) -> None:
        """Leave out the end of the interpreter, which takes long with large packages."""
        if self._was_pressed:
            sys.stdout.flush()
            os._exit(EXIT_INTERRUPTED)

    def _end_late(self) -> None:
        """Wait for Ctrl-C, then for the command; end the process if it is still there."""
        while os.read(self._signals, 1)[0] != signal.SIGINT or not self._is_watching:
            pass
        for _ in range(_STEPS):
            time.sleep(_STEP_SECONDS)
            if self._was_swallowed:
                self._was_pressed = self._was_swallowed = False
                _thread.interrupt_main()
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
