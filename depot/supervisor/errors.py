"""Why a start ends: a reason to print, or the wish of the user."""

from __future__ import annotations


class StartRefused(Exception):
    """The start cannot go on; the message is one sentence for the person at the terminal."""


class StopRequested(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived."""
