#!/usr/bin/env python
"""Entry point of every command: `python manage.py up` starts the product."""

import os
import secrets
import sys

WITHOUT_A_DEPOT = {"plan", "schedule"}  # tools on files and other systems: no database, no web, nothing to sign


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "depot.settings")
    if "--demo" in sys.argv:
        os.environ.setdefault("FLEET_DEPOT_DEMO", "1")  # before the settings are read
    if WITHOUT_A_DEPOT.intersection(sys.argv[1:2]):
        os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
