"""Admin of everything that stands in the yard. What has rules goes through their services; the trail is read-only."""

from depot.admin import booking, equipment, fleet, people, records, site, tariff

__all__ = ["booking", "equipment", "fleet", "people", "records", "site", "tariff"]
