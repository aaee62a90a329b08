"""The two demos: an invented yard around now, and a measured day of a real garage. Visits, bookings, scenario file."""
