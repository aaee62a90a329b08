"""`manage.py simulate`: stations and vehicles that speak only OCPP."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from charging.simulator.config import ConfigError
from charging.simulator.main import add_arguments, options_from, run


class Command(BaseCommand):
    help = "Simulate charging stations and vehicles over real sockets, until stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = options_from(options)
        except ConfigError as error:
            raise CommandError(str(error)) from error
        if status := run(chosen):
            sys.exit(status)
