"""Classes as they are written against the reference system; only their imports are ours."""

import queue
import threading
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import pytest

from scheduling.engine import EV, Algorithm, ChargingRateUnit, Options, go
from scheduling.engine.constants import AlgorithmConstants, EVConstants
from scheduling.engine.go import GoAlgorithm
from scheduling.engine.pulp_numerical import PulpNumericalAlgorithm
from scheduling.runner import PlanRefused, scm_runner
from scheduling.translation import Translation
from scheduling.worker import scm_worker

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
NONE_YET = [0.0] * AlgorithmConstants.TIMESTEPS


class FirstVehicleFirst(Algorithm):
    """Fills plain lists step by step with constants of the module."""

    def calculate(self) -> None:
        free = list(self.peak_power_demand)
        for ev in self.evs:
            power = [0.0] * AlgorithmConstants.TIMESTEPS
            left = ev.energy
            for step in range(ev.arrival_index(self.now), ev.departure_index(self.now)):
                power[step] = min(ev.max_power, free[step], left / AlgorithmConstants.POWER_ENERGY_FACTOR)
                free[step] -= power[step]
                left -= power[step] * AlgorithmConstants.POWER_ENERGY_FACTOR
            ev.power = power  # type: ignore[assignment]


class AsLateAsPossible(Algorithm):
    """Uses the helper of the heuristic."""

    def calculate(self) -> None:
        free = list(self.peak_power_demand)
        for helper in [GoAlgorithm.EVPower(ev) for ev in self.evs]:
            ev = helper.ev
            for step in range(ev.departure_index(self.now) - 1, ev.arrival_index(self.now) - 1, -1):
                free[step] -= helper.accept_power(step, free[step])


class WithItsOwnConstructor(FirstVehicleFirst):
    def __init__(self, evs: list[EV], peak_power_demand: list[float], now: datetime) -> None:
        super().__init__(evs, peak_power_demand, now)
        self.begun = now


class Overcharging(Algorithm):
    def calculate(self) -> None:
        for ev in self.evs:
            ev.power[:] = ev.max_power


class Yard(Translation):
    """A translation with the three methods and the context manager of the reference."""

    opened = 0
    sent: list[dict[EV, dict[str, Any]]] = []

    def __enter__(self) -> Self:
        type(self).opened += 1
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        type(self).opened -= 1

    def get_evs(self, group_name: str) -> tuple[list[EV], float | None]:
        if group_name == "Broken":
            raise ConnectionError("nobody answers")
        return vehicles(datetime.now(UTC)), 230.0

    def get_peak_power_demand(self, group_name: str, now: datetime, voltage: float | None = None) -> list[float]:
        assert now == now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
        assert voltage == 230.0
        return [10.0] * AlgorithmConstants.TIMESTEPS

    def send_power_to_evs(self, powers: Any, unit: ChargingRateUnit | None = None) -> None:
        self.sent.append(dict(powers))


@pytest.fixture(autouse=True)
def _fresh_yard() -> None:
    Yard.opened, Yard.sent = 0, []


def vehicles(now: datetime) -> list[EV]:
    """One that is there and one that is expected, made with positional arguments, the last one the power."""
    hour = timedelta(hours=1)
    return [
        EV(1, True, 1, 1, 0.0, 7.0, now - hour, now + 4 * hour, 14.0, ChargingRateUnit.W, 230, list(NONE_YET)),  # type: ignore[arg-type]
        EV(2, False, 2, 1, 0.0, 7.0, now + hour, now + 4 * hour, 7.0, ChargingRateUnit.W, 230, list(NONE_YET)),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("written_elsewhere", [FirstVehicleFirst, AsLateAsPossible])
def test_an_algorithm_that_fills_the_vehicles_itself_runs_unchanged(written_elsewhere: type[Algorithm]) -> None:
    run = written_elsewhere(vehicles(NOON), [10.0] * AlgorithmConstants.TIMESTEPS, NOON)
    run.calculate()
    assert list(run.get_total_energy_charged().values()) == pytest.approx([14, 7])
    assert run.result.ok
    (profile,) = run.get_charging_profiles().values()  # the expected vehicle has no transaction yet
    assert profile["chargingSchedule"]["chargingRateUnit"] == "W"
    assert run.evs[0].charging_profile(NOON, ChargingRateUnit.A)["chargingSchedule"]["chargingRateUnit"] == "A"
    assert run.evs[0].current_charging_profile(NOON)["chargingProfileId"] == EVConstants.CHARGING_PROFILE_ID
    assert len(next(iter(run.get_current_power().values()))["chargingSchedule"]["chargingSchedulePeriod"]) == 1


def test_a_plan_that_breaks_a_rule_is_refused_whoever_wrote_the_algorithm() -> None:
    outcome = scm_runner(Yard(), Overcharging, groups=["Yard"])
    assert isinstance(outcome["Yard"], PlanRefused)
    assert Yard.sent == []


@pytest.mark.parametrize("algorithm_cls", [WithItsOwnConstructor, GoAlgorithm, PulpNumericalAlgorithm])
def test_a_translation_is_planned_for_by_group_and_an_error_of_one_stops_no_other(
    algorithm_cls: type[Algorithm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATION_GROUPS", " Broken, Yard ,,")
    with Yard() as yard:
        outcome = scm_runner(yard, algorithm_cls)
    assert isinstance(outcome["Broken"], ConnectionError)
    assert [[ev.ev_id for ev in powers] for powers in Yard.sent] == [[1]]


def test_the_worker_opens_the_translation_once_and_ends_at_none() -> None:
    events: queue.Queue[str | None] = queue.Queue()
    worker = threading.Thread(target=scm_worker, args=(events, Yard, GoAlgorithm), kwargs={"groups": ["Yard"]})
    worker.start()
    events.put("OCPP Event: StartTransaction")
    while not Yard.sent:
        worker.join(0.01)
    assert Yard.opened == 1
    events.put(None)
    worker.join()
    assert Yard.opened == 0


def test_the_constants_describe_the_default_horizon() -> None:
    assert AlgorithmConstants.RUNTIME == AlgorithmConstants.RESOLUTION * AlgorithmConstants.TIMESTEPS
    assert AlgorithmConstants.POWER_ENERGY_FACTOR == 0.25
    assert EVConstants.CHARGING_RATE_VOLTAGE == 240
    run = GoAlgorithm([], [1.0] * AlgorithmConstants.TIMESTEPS, NOON)
    assert run.horizon.resolution == AlgorithmConstants.RESOLUTION


# --- options of the heuristic ----------------------------------------------------------------------------------------


def charge(algorithm_cls: type[Algorithm] = GoAlgorithm, *, limit: float = 6.0, **more: Any) -> list[list[float]]:
    """Powers of two vehicles of 10 kW, 30 and 10 kWh, in six hours; both leave after four."""
    hour = timedelta(hours=1)
    evs = [EV(k, True, k, 1, 0.0, 10.0, NOON, NOON + 4 * hour, kwh, **more) for k, kwh in enumerate((30.0, 10.0))]
    run = algorithm_cls(evs, [limit] * 6, NOON, options=Options(resolution=hour))
    run.calculate()
    return [list(ev.power) for ev in run.evs]


def test_options_are_read_from_the_module_when_the_plan_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    early = charge(limit=50.0)
    monkeypatch.setattr(go, "SHIFT_FRONT", False)
    late = charge(limit=50.0)
    assert early[1] == [10, 0, 0, 0, 0, 0]
    assert late[1] == [0, 0, 0, 10, 0, 0]


def test_an_option_of_the_class_comes_before_the_module_s() -> None:
    late = type("Late", (GoAlgorithm,), {"SHIFT_FRONT": False})
    assert charge(late, limit=50.0)[1] == [0, 0, 0, 10, 0, 0]


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 2.0, 5.0])
def test_wa22_any_fairness_factor_serves_all_that_the_limit_allows(factor: float) -> None:
    fair = type("Fair", (GoAlgorithm,), {"FAIRNESS_FACTOR": factor})
    assert sum(map(sum, charge(fair))) == pytest.approx(24)


def test_a_larger_fairness_factor_gives_more_to_the_larger_need() -> None:
    factors = (0.0, 0.5, 1.0, 2.0, 4.0)
    shares = [sum(charge(type("Fair", (GoAlgorithm,), {"FAIRNESS_FACTOR": factor}))[0]) for factor in factors]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


@pytest.mark.parametrize("factor", [-1.0, float("nan")])
def test_wa22_an_impossible_fairness_factor_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="FAIRNESS_FACTOR"):
        charge(type("Unfair", (GoAlgorithm,), {"FAIRNESS_FACTOR": factor}))


def test_wa19_what_is_left_over_stays_unused() -> None:
    assert [sum(row) for row in charge(limit=50.0)] == pytest.approx([30, 10])


def test_debug_tells_what_each_stage_has_served(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger=go.__name__):
        charge(type("Telling", (GoAlgorithm,), {"DEBUG": True}))
    assert "24.000 kWh planned, 16.000 kWh missing" in caplog.text


def test_the_helper_moves_energy_between_steps_and_never_goes_below_the_minimum() -> None:
    hour = timedelta(hours=1)
    ev = EV(1, True, 1, 1, 2.0, 10.0, NOON, NOON + 4 * hour, 11.0)
    FirstVehicleFirst([ev], [10.0] * 4, NOON, options=Options(resolution=hour))
    helper = GoAlgorithm.EVPower(ev)
    assert helper.power(0) == 10
    assert helper.power(0, max_available=1.5) == 0
    assert helper.accept_power(0, 10.0) == 10
    assert helper.energy_left == 1
    assert helper.accept_power(1, 5.0) == 0
    assert helper.accept_power(1, 5.0, ignore_energy=True) == 5
    helper.shift_power(1, 2, 3.0)
    assert list(ev.power) == [10, 2, 3, 0]
