"""Start everything that a depot needs on this machine, and stop it again.

1. take the folder, the lock and the port, or say in one sentence why not;
2. broker (unless REDIS_URL names one), migrations and demo data;
3. web, worker and beat; with --demo the simulated chargers;
4. watch: a process that ends or falls silent is started again;
5. on Ctrl-C stop all, last started first, within three seconds.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from depot.supervisor import children, database
from depot.supervisor.child import Child
from depot.supervisor.errors import StartRefused, StopRequested
from depot.supervisor.place import UpLock, broker_socket, check_port, prepare_folder, remove_socket
from depot.supervisor.readiness import WebProbe, broker_answers
from depot.supervisor.supervisor import Supervisor
from depot.supervisor.watchdog import Watchdog
from depot.supervisor.welcome import welcome

SCENARIOS = ("depot", "garage")
READY_WITHIN_S = 90.0


class Command(BaseCommand):
    help = "Run the whole product on this machine: broker, web, worker, beat, and with --demo simulated chargers."
    requires_system_checks: list[str] = []  # the web process runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="TCP port (default: 8000)")
        parser.add_argument("--demo", action="store_true", help="migrate, seed the demo depot, simulate its chargers")
        parser.add_argument("--scenario", choices=SCENARIOS, default="depot", help="which demo (default: depot)")
        parser.add_argument(
            "--api-key",
            default=os.environ.get("API_KEY", ""),
            help="the demo's API key (default: API_KEY, else random)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        os.umask(0o077)  # database, credentials and logs are this user's
        try:
            var = prepare_folder(Path(settings.VAR).absolute())
            lock = UpLock.take(var)
        except StartRefused as refusal:
            raise CommandError(str(refusal)) from None
        try:
            self.run(var, **options)
        except StartRefused as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            lock.release()

    def run(self, var: Path, *, host: str, port: int, demo: bool, scenario: str, api_key: str, **_: Any) -> None:
        check_port(host, port)
        if demo:
            refuse_open_demo(host)
        embedded_broker = use_embedded_broker(var)
        os.environ.setdefault("FLEET_DEPOT_LOG", "json")  # the children write to files
        os.environ["PYTHONUNBUFFERED"] = "1"
        supervisor = Supervisor(log_folder=var / "log", cwd=Path(settings.BASE_DIR), say=self.say)
        probe = WebProbe(host, port, name=own_name())
        with supervisor.signals():
            try:
                if embedded_broker is not None:
                    supervisor.start(children.broker(embedded_broker, var))
                supervisor.wait_until(lambda: broker_answers(settings.REDIS_URL), what="The broker", within_s=10)
                self.prepare_database(supervisor, demo=demo, scenario=scenario, api_key=api_key)
                running = self.start_processes(supervisor, probe, var, demo=demo)
                self.say_ready(probe, var, demo=demo)
                supervisor.run(Watchdog(running, probe, self.say, supervisor.clock))
            except StopRequested:
                self.say("Stopping ...")
            finally:
                supervisor.stop()
                if embedded_broker is not None:
                    remove_socket(embedded_broker, var)

    def prepare_database(self, supervisor: Supervisor, *, demo: bool, scenario: str, api_key: str) -> None:
        """Before the first child that holds a connection, in a process without threads."""
        with supervisor.interruptible():
            if demo:
                database.migrate()
                database.seed_demo(scenario=scenario, api_key=api_key)
            else:
                database.require_migrated()
        database.close_connections()

    def start_processes(self, supervisor: Supervisor, probe: WebProbe, var: Path, *, demo: bool) -> dict[str, Child]:
        running = {
            "web": supervisor.start(children.web(probe.host, probe.port)),
            "worker": supervisor.start(children.worker()),
            "beat": supervisor.start(children.beat(var)),
        }
        supervisor.wait_until(probe.healthy, what="The web process", within_s=READY_WITHIN_S)
        if demo:
            running["simulator"] = supervisor.start(children.simulator(var / "demo.json", probe.host, probe.port))
        try:
            supervisor.wait_until(probe.ready, what="The product", within_s=READY_WITHIN_S)
        except StartRefused as refusal:
            raise StartRefused(f"{refusal} Missing: {', '.join(probe.missing()) or 'nothing any more'}.") from None
        return running

    def say_ready(self, probe: WebProbe, var: Path, *, demo: bool) -> None:
        if demo:
            self.say(welcome(host=probe.host, port=probe.port, var=var))
        else:
            self.say(f"Fleet Depot is ready on http://{children.reachable(probe.host)}:{probe.port}/; Ctrl-C stops it.")

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone; the depot goes on
            self.stdout.write(text)
            self.stdout.flush()


def refuse_open_demo(host: str) -> None:
    """The demo's default key is public: with it anybody who reaches the port could sign in as anybody."""
    if host not in {"127.0.0.1", "::1", "localhost"} and not os.environ.get("SECRET_KEY", "").strip():
        raise StartRefused(
            f"HOST={host} opens the demo to other machines: "
            "set SECRET_KEY to a random text and ALLOWED_HOSTS to this machine's names first."
        )


def own_name() -> str:
    """A Host header that this installation accepts."""
    names = [name for name in settings.ALLOWED_HOSTS if "*" not in name]
    return str(names[0]).lstrip(".") if names else "localhost"


def use_embedded_broker(var: Path) -> Path | None:
    """The embedded broker's socket, or None when REDIS_URL names a broker. Settings must know the same socket:
    where they cannot (a relative or very deep folder) this process starts itself again with the right environment.
    """
    ours = os.environ.get("FLEET_DEPOT_EMBEDDED_BROKER", "")
    if os.environ.get("REDIS_URL", "").strip() and not ours:
        return None
    socket = broker_socket(var)
    url = f"unix://{socket}?db=0"
    if url != settings.REDIS_URL:
        environment = {"FLEET_DEPOT_VAR": str(var), "REDIS_URL": url, "FLEET_DEPOT_EMBEDDED_BROKER": "1"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **environment})  # noqa: S606
    os.environ["FLEET_DEPOT_VAR"] = str(var)
    return socket
