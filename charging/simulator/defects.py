"""Switches that make a charger misbehave as real ones do: each is a member, and a question asked at its seam."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

LATE_ANSWER_S = 45.0


class Defect(StrEnum):
    IGNORE_LIMIT = "ignore_limit"
    """Profiles are accepted and stored, the current does not follow."""
    FORGET_PROFILES_ON_REBOOT = "forget_profiles_on_reboot"
    """A reset empties the profile store."""
    REJECT_PROFILES = "reject_profiles"
    """SetChargingProfile is always Rejected."""
    LATE_ANSWER = "late_answer"
    """SetChargingProfile takes effect at once and is answered after 45 s, past the usual time-out."""


class Defects:
    """The defects of one station, asked where each would show."""

    def __init__(self, switches: Iterable[Defect] = ()) -> None:
        self.switches = frozenset(switches)

    @property
    def obeys_limits(self) -> bool:
        return Defect.IGNORE_LIMIT not in self.switches

    @property
    def keeps_profiles_on_reboot(self) -> bool:
        return Defect.FORGET_PROFILES_ON_REBOOT not in self.switches

    @property
    def takes_profiles(self) -> bool:
        return Defect.REJECT_PROFILES not in self.switches

    @property
    def profile_answer_delay_s(self) -> float:
        """Simulated seconds between obeying a SetChargingProfile and answering it."""
        return LATE_ANSWER_S if Defect.LATE_ANSWER in self.switches else 0.0
