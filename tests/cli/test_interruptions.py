"""Signals that end a command."""

from __future__ import annotations

import os
import signal

import pytest

from dserver_signed_url_plugin.cli.interruptions import interruptible


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_the_terminal_counts_as_an_interruption(ending):
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), ending)
    assert signal.getsignal(ending) is signal.SIG_DFL


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_no_second_signal_interrupts_what_must_be_recorded(ending, again):
    before = signal.getsignal(again)
    done = []

    def run() -> None:
        with interruptible() as ignore_signals:
            try:
                os.kill(os.getpid(), ending)
            finally:
                ignore_signals()
                os.kill(os.getpid(), again)
                done.append("decision")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["decision"]
    assert signal.getsignal(again) is before


def test_a_second_signal_does_not_interrupt_what_the_first_leads_to():
    done = []

    def end() -> None:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("decision")

    with pytest.raises(KeyboardInterrupt), interruptible():
        end()
    assert done == ["decision"]
