"""Is it there yet: short questions to the broker and to the web process, answered yes or no, never raising."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

import redis

from depot.supervisor.children import reachable

TIMEOUT_S = 1.0


def broker_answers(redis_url: str) -> bool:
    try:
        with redis.Redis.from_url(redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


@dataclass(frozen=True)
class WebProbe:
    """Asks one web process by plain HTTP, as the machine's own load balancer would."""

    host: str
    port: int
    name: str = "localhost"

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON body; (0, {}) when nobody answers."""
        connection = http.client.HTTPConnection(reachable(self.host).strip("[]"), self.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Host": self.name, "Connection": "close"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()
        return answer.status, body if isinstance(body, dict) else {}

    def healthy(self) -> bool:
        return self.get("/healthz")[0] == 200

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def missing(self) -> list[str]:
        """Components that are not there, by name; everything when the web process itself is silent."""
        status, body = self.get("/readyz")
        return [name for name, there in body.items() if there is False] if status else ["web"]
