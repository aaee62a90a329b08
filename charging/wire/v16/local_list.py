"""OCPP 1.6 LocalAuthListManagement profile. OCPP 1.6 §5.10, §5.15."""

from typing import Annotated, Literal

import msgspec

from charging.wire.v16.types import Id, IdTag, IdTagInfo, Message, Open

ListVersion = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class GetLocalListVersion(Message, frozen=True):
    """Ask which list the charger has."""


class GetLocalListVersionResponse(Message, frozen=True):
    """-1 means not supported, 0 empty (P51)."""

    list_version: Id


class AuthorizationData(Message, frozen=True):
    """A tag of the list; without `id_tag_info` a differential update deletes it."""

    id_tag: IdTag
    id_tag_info: IdTagInfo | None = None


class SendLocalList(Message, frozen=True):
    """Replace or amend the list; versions are above 0 and rise (errata 3.52)."""

    list_version: ListVersion
    update_type: Literal["Differential", "Full"]
    local_authorization_list: tuple[AuthorizationData, ...] | None = None


class SendLocalListResponse(Message, frozen=True):
    status: Open[Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"]]
