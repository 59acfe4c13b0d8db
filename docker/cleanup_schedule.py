"""Runs the clean-up of uploads, shares and ephemeral base URIs when it is due, until SIGTERM.

Logs to stdout, and never runs two commands at a time. Debian's cron daemons need root and a spool
directory, and do not pass the environment on. supercronic is neither in Debian (bookworm, trixie)
nor on PyPI; yacron is on PyPI, but needs aiohttp, a mail client and Sentry, and has had no release
since 2023.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

SECONDS_TO_END = 5
# Seconds after which the clock is read again: it may have been set, or the machine suspended.
LONGEST_WAIT = 60

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}  # seconds
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=365_000)


@dataclass(frozen=True)
class Schedule:
    """When the clean-up runs, and what it cleans up."""

    first: timedelta  # of a day, UTC
    every: timedelta
    older_than: str  # as ``--older-than`` takes it
    ephemeral: Sequence[str] = ()  # base URIs whose buckets delete what is old

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Schedule:
        """Read the environment.

        :raises ValueError: with a sentence that names the variable.
        """
        at = environ.get("CLEANUP_AT") or "02:00"
        try:
            first = datetime.strptime(at, "%H:%M").replace(tzinfo=timezone.utc)
        except ValueError:
            raise ValueError(
                f"CLEANUP_AT must be a time of day such as 02:00, not {at!r}."
            ) from None
        _, every = _duration(environ, "CLEANUP_EVERY_HOURS", "24")
        older_than, _ = _duration(environ, "CLEANUP_OLDER_THAN_HOURS", "48")
        ephemeral = (environ.get("EPHEMERAL_BASE_URIS") or "").split()
        for base_uri in ephemeral:
            if not re.fullmatch(r"[a-z0-9]+://[^/,]+", base_uri):
                raise ValueError(
                    f"EPHEMERAL_BASE_URIS must be base URIs like s3://tempstore, not {base_uri!r}."
                )
        first_time = timedelta(hours=first.hour, minutes=first.minute)
        return cls(first_time, every, older_than, ephemeral)

    def next_run(self, now: datetime) -> datetime:
        """Return the next time after now."""
        start = datetime(1970, 1, 1, tzinfo=timezone.utc) + self.first
        return start + ((now - start) // self.every + 1) * self.every

    def commands(self) -> dict[str, list[str]]:
        """Return the command lines of a clean-up, by what they clean up."""
        uploads = ["pending_upload", "cleanup", "--delete-storage", "--older-than", self.older_than]
        commands = {"uploads": uploads, "shares": ["share", "cleanup"]}
        commands |= {uri: ["lifecycle", "sweep", uri] for uri in self.ephemeral}
        flask = [sys.executable, "-m", "flask"]
        return {what: [*flask, *command] for what, command in commands.items()}


class Signals:
    """Reads signals from a pipe, so that none is lost between two waits."""

    def __init__(self) -> None:
        self._pipe, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def stop_within(self, seconds: float) -> bool:
        """Wait for some seconds or a signal; return whether it was one to stop."""
        ready, _, _ = select.select([self._pipe], [], [], max(0.0, seconds))
        came = os.read(self._pipe, 64) if ready else b""
        return not {signal.SIGTERM, signal.SIGINT}.isdisjoint(came)


def main() -> int:
    """Run the clean-up at its times until a signal to stop."""
    try:
        schedule = Schedule.read(os.environ)
    except ValueError as mistake:
        say(str(mistake))
        return 2
    signals = Signals()
    while True:
        due = schedule.next_run(datetime.now(timezone.utc))
        say(f"Next clean-up at {due:%Y-%m-%d %H:%M} UTC.")
        if stopped_before(due, signals) or stopped_while_running(schedule.commands(), signals):
            say("Stopped.")
            return 0


def stopped_before(due: datetime, signals: Signals) -> bool:
    """Wait until a time; return whether there was a signal to stop meanwhile."""
    while (left := (due - datetime.now(timezone.utc)).total_seconds()) > 0:
        if signals.stop_within(min(left, LONGEST_WAIT)):
            return True
    return False


def stopped_while_running(commands: Mapping[str, list[str]], signals: Signals) -> bool:
    """Run commands one after the other, also if one fails.

    Return whether there was a signal to stop, which ends the running command too.
    """
    for what, command in commands.items():
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        while process.poll() is None:
            if signals.stop_within(LONGEST_WAIT):
                end(process)
                return True
        took = time.monotonic() - started
        say(f"Clean-up of {what} ended with exit code {process.returncode} after {took:.0f} s.")
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a command; the next run continues its work."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    say(f"Clean-up was ended: exit code {process.returncode}.")


def say(sentence: str) -> None:
    """Log a line, unbuffered."""
    sys.stdout.write(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} {sentence}\n")
    sys.stdout.flush()


def _duration(environ: Mapping[str, str], name: str, default: str) -> tuple[str, timedelta]:
    """Return a duration as it is written, and its length."""
    text = (environ.get(name) or default).strip()
    with suppress(ValueError, OverflowError):
        length = timedelta(hours=_hours(text))
        if _SHORTEST <= length <= _LONGEST:
            return text, length
    raise ValueError(f"{name} must be a duration such as 24 (hours), 90m or 7d, not {text!r}.")


def _hours(text: str) -> float:
    """Convert what ``--older-than`` takes, without the plugin: whose import takes 80 MB."""
    found = re.fullmatch(r"([0-9]{1,18})([smhd])", text)
    return int(found[1]) * _UNITS[found[2]] / 3600 if found else float(text)


if __name__ == "__main__":
    sys.exit(main())
