"""Measurements that `make bench` prints; each module offers `run() -> list[Row]`."""
