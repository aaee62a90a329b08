"""What each message of a charger means for the database. OCPP 1.6 §4; one function per action."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from charging.intake import statuses
from charging.intake.entry import Arrival, Meaning, Outcome
from charging.intake.readings import samples_to_rows
from charging.models import TransactionNumber
from charging.sessions import start_transaction, stop_transaction
from charging.wire.decoding import decode_request
from charging.wire.errors import ErrorCode, PayloadError
from charging.wire.metering import DEFAULT_TRAITS, samples_of
from charging.wire.session import IncomingCall
from charging.wire.timestamps import wire_time
from charging.wire.v16 import core
from charging.wire.v16.security import SignCertificateResponse
from charging.wire.v16.types import IdTagInfo

EMPTY = b"{}"


def meaning_of(call: IncomingCall, arrival: Arrival, *, registered: bool) -> Meaning:
    """Decode a CALL and say what it changes; a payload that cannot be used is refused and still stored."""
    action = call.action
    if not registered and action != "BootNotification":
        sentence = "send BootNotification first and wait until it is Accepted"
        return Meaning(action, refusal=(ErrorCode.SECURITY_ERROR, sentence), findings=call.findings)
    try:
        request, findings = decode_request(action, call.payload)
    except PayloadError as error:
        return Meaning(action, refusal=(error.code, str(error)), findings=call.findings)
    meaning = MEANINGS[action](request, arrival)
    meaning.findings = call.findings + findings + meaning.findings
    return meaning


# --- answered without looking at the database ------------------------------------------------------------------------


def heartbeat(request: core.Heartbeat, arrival: Arrival) -> Meaning:
    answer = b'{"currentTime":"%b"}' % wire_time(arrival.at).encode()
    return Meaning("Heartbeat", answer=answer)


def meter_values(request: core.MeterValues, arrival: Arrival) -> Meaning:
    traits = arrival.station.meters.get(request.connector_id, DEFAULT_TRAITS)
    samples = samples_of(request, arrival.at, traits)
    transaction_id = request.transaction_id if request.transaction_id and request.transaction_id > 0 else None
    rows = samples_to_rows(samples, arrival, request.connector_id, transaction_id)
    findings = tuple(finding for sample in samples for finding in sample.findings)
    return Meaning("MeterValues", answer=EMPTY, samples=rows, findings=findings)


def data_transfer(request: core.DataTransfer, arrival: Arrival) -> Meaning:
    """No vendor is known yet; the payload stays in the journal (P81)."""
    return Meaning("DataTransfer", answer=core.DataTransferResponse(status="UnknownVendorId"))


def sign_certificate(request: object, arrival: Arrival) -> Meaning:
    """There is no certificate authority to forward the request to. Security white paper §5.8."""
    return Meaning("SignCertificate", answer=SignCertificateResponse(status="Rejected"))


def confirmed(action: str) -> Callable[[Any, Arrival], Meaning]:
    """Stored in the journal and confirmed."""
    return lambda request, arrival: Meaning(action, answer=EMPTY)


# --- with an effect --------------------------------------------------------------------------------------------------


def boot_notification(request: core.BootNotification, arrival: Arrival) -> Meaning:
    return Meaning("BootNotification", effect=partial(statuses.boot, request))


def authorize(request: core.Authorize, arrival: Arrival) -> Meaning:
    return Meaning("Authorize", effect=partial(statuses.authorize, request))


def status_notification(request: core.StatusNotification, arrival: Arrival) -> Meaning:
    return Meaning("StatusNotification", effect=partial(statuses.status, request), last_resort=just_confirm)


def start(request: core.StartTransaction, arrival: Arrival) -> Meaning:
    return Meaning("StartTransaction", effect=partial(start_transaction, request), last_resort=start_anyway)


def stop(request: core.StopTransaction, arrival: Arrival) -> Meaning:
    return Meaning("StopTransaction", effect=partial(stop_transaction, request), last_resort=just_confirm)


def just_confirm(arrival: Arrival) -> Outcome:
    return Outcome()


def start_anyway(arrival: Arrival) -> Outcome:
    """A number, so that the charger keeps its record and goes on; its frame waits in the journal (P38, P40)."""
    number: int = TransactionNumber.objects.create().pk
    info = IdTagInfo(status="Accepted")
    return Outcome(core.StartTransactionResponse(transaction_id=number, id_tag_info=info))


MEANINGS: dict[str, Callable[[Any, Arrival], Meaning]] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": data_transfer,
    "Heartbeat": heartbeat,
    "MeterValues": meter_values,
    "SignCertificate": sign_certificate,
    "StartTransaction": start,
    "StatusNotification": status_notification,
    "StopTransaction": stop,
    **{
        action: confirmed(action)
        for action in (
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "LogStatusNotification",
            "SecurityEventNotification",
            "SignedFirmwareStatusNotification",
        )
    },
}
