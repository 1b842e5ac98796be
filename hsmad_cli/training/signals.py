"""SIGTERM and Ctrl-C while training: finish the step, save, then leave."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from hsmad_cli.errors import Terminated


class Signals:
    """While entered, remembers the first SIGTERM or SIGINT in `number`; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.number = 0.0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = float(number)

    def leave(self, message: str) -> None:
        """Raise what the remembered signal means: Terminated or KeyboardInterrupt; nothing without one."""
        if self.number == signal.SIGTERM:
            raise Terminated(f"terminated: {message}", "go on with --resume")
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
