"""What the demo says when it is ready."""

from __future__ import annotations

import json
from pathlib import Path

from depot.supervisor.children import reachable

WELCOME = """
Fleet Depot is ready.

  Depot     {url}/
  Sign in   {username} / {password}
  Admin     {url}/admin/
  API docs  {url}/api/docs/
  API key   {api_key}
            curl -H 'Authorization: Api-Key {api_key}' {url}/api/v1/depots/

  Watch     vehicles plug in and leave by themselves; measured power stays below the limit.
  Try       book a reservation in the admin: plan and heatmap of the depot page follow within seconds.
  Logs      {log_folder}
  Stop      Ctrl-C
"""


def welcome(*, host: str, port: int, var: Path) -> str:
    login = json.loads((var / "demo-credentials.json").read_text(encoding="utf-8"))
    return WELCOME.format(
        url=f"http://{reachable(host)}:{port}",
        username=login["username"],
        password=login["password"],
        api_key=login["api_key"],
        log_folder=shown(var / "log"),
    )


def shown(path: Path) -> str:
    """Relative to where the user stands, where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
