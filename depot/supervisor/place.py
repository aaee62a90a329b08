"""The place a copy runs in: its folder, its lock, its port and the broker's socket."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from depot.supervisor.errors import StartRefused

LONGEST_SOCKET_PATH = 100  # bytes; the kernel's sun_path holds 108, clients add a few


def prepare_folder(var: Path) -> Path:
    """Create `var` and its log folder, for this user alone; the demo's credentials and the database lie there."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("log", "static"):
            (var / name).mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=var):
            pass
    except OSError as error:
        raise StartRefused(
            f"Cannot write to {var}: {error.strerror or error}. "
            "Make it writable, or set FLEET_DEPOT_VAR to a folder that is."
        ) from None
    return var


@dataclass
class UpLock:
    """An flock on `var/up.lock`; the kernel releases it however the holder ends."""

    file: TextIO

    @classmethod
    def take(cls, var: Path) -> UpLock:
        path = var / "up.lock"
        try:
            file = open(path, "a+", encoding="ascii")  # noqa: SIM115  (lives as long as the process)
        except OSError as error:
            raise StartRefused(f"Cannot write to {path}: {error.strerror or error}.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise StartRefused(
                f"Fleet Depot is already running from {var} (process {holder}): stop that copy first, "
                "or set FLEET_DEPOT_VAR to another folder for a second one."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        return cls(file)

    def release(self) -> None:
        self.file.truncate(0)
        self.file.close()


def check_port(host: str, port: int) -> None:
    """Refuse a port that somebody listens on, before anything is started for nothing."""
    if not 1 <= port <= 65535:
        raise StartRefused(f"Port {port} does not exist: choose one from 1024 to 65535, for example PORT=8010.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise StartRefused(f"Host {host} is not an address of this machine: {error.strerror or error}.") from None
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except PermissionError:
            raise StartRefused(f"Port {port} needs root: choose one above 1023, for example PORT=8010.") from None
        except OSError as error:
            raise StartRefused(
                f"Port {port} on {host} is taken ({error.strerror}): stop what listens there, "
                f"or choose another one, for example PORT={port + 10 if port < 65000 else 8010}."
            ) from None


def broker_socket(var: Path) -> Path:
    """Where the embedded broker listens; a deep folder moves it to a private one under the temporary directory."""
    path = var / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(var)).hexdigest()[:16]
    return private_folder(Path(tempfile.gettempdir()) / f"fleet-depot-{os.geteuid()}-{name}") / "valkey.sock"


def remove_socket(socket: Path, var: Path) -> None:
    """After the broker has ended: its socket, and the private folder that was made for it."""
    socket.unlink(missing_ok=True)
    if socket.parent != var:
        socket.parent.rmdir()


def private_folder(path: Path) -> Path:
    """Create `path` with mode 700, or refuse one that somebody else prepared."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartRefused(f"{path} belongs to somebody else: remove it, or set FLEET_DEPOT_VAR to a shorter path.")
    return path
