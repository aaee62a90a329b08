"""Settings of the tests: a folder, database and broker of their own per pytest process.

Embedded default unless FLEET_DEPOT_TEST_ON=services, which keeps DATABASE_URL and REDIS_URL.
"""

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

FIRST_TEST_REDIS_DB = 8  # 0 to 7 are left to whoever else uses the server

on_services = os.environ.get("FLEET_DEPOT_TEST_ON") == "services"
worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
given = all(os.environ.get(name) for name in ("DATABASE_URL", "REDIS_URL"))
os.environ.setdefault("FLEET_DEPOT_SERVICES_GIVEN", "1" if given else "0")
if on_services:
    url = urlsplit(os.environ.get("REDIS_URL", ""))
    os.environ["REDIS_URL"] = url._replace(path=f"/{FIRST_TEST_REDIS_DB + worker}").geturl()
else:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
os.environ["FLEET_DEPOT_VAR"] = str(Path(tempfile.gettempdir()) / f"fleet-depot-test-{os.getpid()}")
for name in ("DEBUG", "FLEET_DEPOT_DEMO", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECURE_SSL_REDIRECT"):
    os.environ.pop(name, None)
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "0" * 50)
os.environ.setdefault("FLEET_DEPOT_LOG_LEVEL", "WARNING")

from depot.settings import *  # noqa: E402, F403
from depot.settings import DATABASES, VAR  # noqa: E402

TEST_ON_SERVICES = on_services
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if not on_services:
    # a file, because consumers, threads and subprocesses must see the same database as the test
    DATABASES["default"]["TEST"] = {"NAME": str(VAR / "test.sqlite3")}
