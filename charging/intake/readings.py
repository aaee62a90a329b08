"""Meter samples as rows: numbers in columns, and the natural key of what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b

from charging.intake.entry import Arrival, SampleRow, storable
from charging.wire.metering import Sample

Measured = tuple[tuple[str | None, str | None, str | None], ...]


def samples_to_rows(
    samples: Iterable[Sample], arrival: Arrival, number: int, transaction_id: int | None
) -> list[SampleRow]:
    return [sample_row(sample, arrival, number, transaction_id) for sample in samples]


def sample_row(sample: Sample, arrival: Arrival, number: int, transaction_id: int | None) -> SampleRow:
    phase_1, phase_2, phase_3 = sample.current_a or (None, None, None)
    measured = tuple([(value.measurand, value.phase, value.location) for value in sample.raw])
    return SampleRow(
        arrival.station.id,
        min(number, 2**31 - 1),
        transaction_id,
        sample.sampled_at,
        arrival.at,
        storable(sample.context, 20),
        content_hash(measured, sample.context, transaction_id),
        _number(sample.energy_wh),
        _number(sample.power_w),
        _number(phase_1),
        _number(phase_2),
        _number(phase_3),
        _number(sample.voltage_v),
        _number(sample.current_offered_a),
        _number(sample.soc_percent),
        ",".join(sorted(sample.flags))[:100] if sample.flags else "",
    )


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


@lru_cache(maxsize=4096)
def content_hash(measured: Measured, context: str, transaction_id: int | None) -> str:
    """16 hex digits that are equal for the same set of measurands, phases and places of one transaction."""
    names = sorted("|".join(part or "" for part in entry) for entry in measured)
    text = "\n".join([*names, context, str(transaction_id)])
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
