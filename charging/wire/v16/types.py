"""What the OCPP 1.6 structs are made of. OCPP 1.6 §6 and §7."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, TypeVar

import msgspec

Known = TypeVar("Known")

if TYPE_CHECKING:
    Open: TypeAlias = Known | str
else:

    class Open:
        """`Open[Literal[...]]`: the standard's words; a charger's other word is kept as text, with a finding (P27)."""

        def __class_getitem__(cls, words):
            return words


class Message(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """Base of everything inside a payload. None means absent, and is never sent."""

    STAND_INS: ClassVar[Mapping[str, object] | None] = None
    """Set on what is always confirmed: bad optional fields are dropped, these required ones replaced (P38)."""


Id = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
ConnectorId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
OutletId = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""A connector one can plug into: never 0."""
PhaseCount = Annotated[int, msgspec.Meta(ge=1, le=3)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
WattHours = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1, extra={"rounds": True})]
Tenths = Annotated[float, msgspec.Meta(extra={"tenths": True})]

IdTag = Annotated[str, msgspec.Meta(max_length=20)]
Text20 = Annotated[str, msgspec.Meta(max_length=20)]
Text25 = Annotated[str, msgspec.Meta(max_length=25)]
Text40 = Annotated[str, msgspec.Meta(max_length=40)]
Text50 = Annotated[str, msgspec.Meta(max_length=50)]
Text128 = Annotated[str, msgspec.Meta(max_length=128)]
Text255 = Annotated[str, msgspec.Meta(max_length=255)]
Text500 = Annotated[str, msgspec.Meta(max_length=500)]
Text512 = Annotated[str, msgspec.Meta(max_length=512)]
Text800 = Annotated[str, msgspec.Meta(max_length=800)]
Text5500 = Annotated[str, msgspec.Meta(max_length=5500)]
Text10000 = Annotated[str, msgspec.Meta(max_length=10000)]

Timestamp = Annotated[str, msgspec.Meta(extra={"format": "date-time"})]
"""RFC 3339 text. Read a charger's with `timestamps.parse_time`, write ours with `timestamps.wire_time`."""
Url = Annotated[str, msgspec.Meta(extra={"format": "uri"})]
Url512 = Annotated[str, msgspec.Meta(max_length=512, extra={"format": "uri"})]

AcceptedOrRejected = Literal["Accepted", "Rejected"]
AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
RegistrationStatus = Literal["Accepted", "Pending", "Rejected"]


class IdTagInfo(Message, frozen=True):
    """The verdict on a tag. OCPP 1.6 §7.27."""

    status: AuthorizationStatus
    parent_id_tag: IdTag | None = None
    expiry_date: Timestamp | None = None
