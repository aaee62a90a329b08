"""Reservations: who may hold which connector when. Services write; the database has the last word on overlaps."""
