"""The reason of a step as a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import POWER_TOLERANCE_KW
from scheduling.engine.binding import Bound
from scheduling.engine.wording import Clock, count_in_words, place_in_words, price_in_words

if TYPE_CHECKING:
    from scheduling.engine.reasons import Why


def tell(why: Why, ev: int, step: int, clock: Clock) -> str:
    """One sentence for vehicle row `ev` in `step`; instants are worded by `clock`."""
    return _Teller(why, ev, step, clock).sentence()


class _Teller:
    def __init__(self, why: Why, ev: int, step: int, clock: Clock) -> None:
        self._why, self._ev, self._step, self._clock = why, ev, step, clock
        self._problem = why.problem
        self._vehicle = why.problem.evs[ev]
        self._kw = float(why.power[ev, step])
        self._price = float(why.problem.steering_price[step])
        cause = int(why.cause[ev, step])
        self._bound = None if cause < 0 else why.bounds[cause]

    def sentence(self) -> str:
        code = self._why.codes[self._ev][self._step]
        if code in ("site_limit", "group_limit", "dr_event"):
            return self._limited(is_event=code == "dr_event")
        if code == "full":
            need = float(self._problem.need_kwh[self._ev])
            return f"Ready: it has the {need:.1f} kWh it needs." if need > 0 else "Ready: it needs no energy."
        words: dict[str, Callable[[], str]] = {
            "deadline": self._for_the_deadline,
            "cheap_price": self._for_the_price,
            "cheaper_later": self._until_it_is_cheaper,
            "min_power": self._at_the_minimum,
            "waiting_turn": self._for_its_turn,
            "not_plugged": self._away,
            "fault": lambda: "Not planned: its charger has a fault.",
            "override": lambda: "Not planned: an operator has taken it over.",
        }
        return words[code]()

    def _limited(self, *, is_event: bool) -> str:
        assert self._bound is not None
        bound, limit = self._bound, float(self._bound.limit_kw[self._step])
        held = f"Held to {self._kw:.1f} kW" if self._kw > POWER_TOLERANCE_KW else "Waits"
        place = place_in_words(bound.node, bound.is_root)
        if bound.kind == "soft":
            return f"{held}: above {limit:.1f} kW at {place} every kWh costs {price_in_words(bound.price)} more."
        if bound.kind == "peak" and limit <= bound.paid_kw + POWER_TOLERANCE_KW:
            return f"{held} to stay below the {limit:.1f} kW already paid for."
        if bound.kind == "peak":
            return f"{held} to keep the peak at {limit:.1f} kW: every kW more costs {price_in_words(bound.price)}."
        until = self._at(self._until(bound))
        if is_event:
            return f"{held}: a grid event leaves {limit:.1f} kW at {place} until {until}."
        if limit < POWER_TOLERANCE_KW:
            return f"Waits: {place} carries no vehicle until {until}."
        return f"{held}: {place} is full until {until}{self._for_whom(bound)}."

    def _for_whom(self, bound: Bound) -> str:
        """Who has most of a full limit, as a clause."""
        problem, ev = self._problem, self._ev
        others = bound.members[bound.members != ev]
        drawn = np.maximum(self._why.power[others, self._step] - problem.free_power[others], 0.0)
        others, drawn = others[drawn > POWER_TOLERANCE_KW], drawn[drawn > POWER_TOLERANCE_KW]
        if not others.size:
            return ""
        groups = (
            ("of higher priority", "of higher priority", problem.priority[others] > problem.priority[ev]),
            ("that leaves earlier", "that leave earlier", problem.last_step[others] < problem.last_step[ev]),
        )
        for one, many, chosen in groups:
            if drawn[chosen].sum() > drawn.sum() / 2:
                count = int(chosen.sum())
                return f", most of it for {count_in_words(count, 'vehicle')} {one if count == 1 else many}"
        return f", shared with {count_in_words(len(others), 'other vehicle')}"

    def _for_the_deadline(self) -> str:
        charges = f"Charges at {self._kw:.1f} kW"
        leaves = self._clock(self._vehicle.departure_time)
        prices = self._problem.steering_price[self._problem.present[self._ev]]
        if prices.min(initial=np.inf) < self._price - 1e-9:
            return f"{charges} at {price_in_words(self._price)} per kWh: it would not be ready by {leaves} otherwise."
        return f"{charges}: it leaves at {leaves}, and waiting would not be cheaper."

    def _for_the_price(self) -> str:
        prices = self._problem.steering_price
        now = price_in_words(self._price)
        if self._kw < 0:
            charging = prices[self._why.power[self._ev] > POWER_TOLERANCE_KW]
            given = f"Gives back {-self._kw:.1f} kW: power costs {now} per kWh now"
            return (
                f"{given} and {price_in_words(float(charging.min()))} when it charges."
                if charging.size
                else f"{given}."
            )
        dearest = price_in_words(float(prices[self._problem.present[self._ev]].max()))
        return f"Charges at {self._kw:.1f} kW: power costs {now} instead of up to {dearest} per kWh."

    def _until_it_is_cheaper(self) -> str:
        later = np.arange(len(self._problem.hours)) > self._step
        cheaper = self._problem.steering_price < self._price - 1e-9
        used = self._why.power[self._ev] > POWER_TOLERANCE_KW
        first = int(np.argmax(later & cheaper & used))
        then, now = price_in_words(float(self._problem.steering_price[first])), price_in_words(self._price)
        return f"Waits: from {self._at(first)} power costs {then} instead of {now} per kWh."

    def _at_the_minimum(self) -> str:
        least = f"its minimum of {self._problem.min_power[self._ev]:.1f} kW"
        if self._kw > POWER_TOLERANCE_KW:
            return f"Charges at {least}, the least it can take."
        assert self._bound is not None
        place = place_in_words(self._bound.node, self._bound.is_root)
        return f"Waits: {place} leaves less than {least} until {self._at(self._until(self._bound))}."

    def _for_its_turn(self) -> str:
        if self._bound is not None:
            place = place_in_words(self._bound.node, self._bound.is_root)
            until = self._at(self._until(self._bound))
            return f"Waits for its turn: {place} is full until {until}{self._for_whom(self._bound)}."
        leaves = self._clock(self._vehicle.departure_time)
        later = np.flatnonzero(self._why.power[self._ev, self._step :] > POWER_TOLERANCE_KW)
        if not later.size:
            return f"Waits: nothing is planned for it until it leaves at {leaves}."
        return f"Waits: it charges from {self._at(self._step + int(later[0]))}, and leaves at {leaves}."

    def _away(self) -> str:
        begin, end = self._problem.horizon.borders[self._step : self._step + 2]
        leaves = self._clock(self._vehicle.departure_time)
        if self._vehicle.departure_time <= begin:
            return f"Gone: it leaves at {leaves}."
        if self._vehicle.departure_time < end:
            return f"Not there for the whole step: it leaves at {leaves}."
        return f"Not there yet: it is expected at {self._clock(self._vehicle.arrival_time)}."

    def _until(self, bound: Bound) -> int:
        return bound.until(self._step)

    def _at(self, step: int) -> str:
        return self._clock(self._problem.horizon.borders[step])
