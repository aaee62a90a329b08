"""`manage.py plan FILE.json`: plan a problem from a file, without a database."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from scheduling.engine import Options, algorithm, algorithm_names
from scheduling.engine.problem_file import FileError, algorithm_for, read_problem, result_of, schemas


class Command(BaseCommand):
    help = "Plan the charging problem of a JSON file (- for standard input) and print or write the plan as JSON."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="the problem, see docs/planning.md; - reads standard input")
        parser.add_argument("--algorithm", default="optimal", help=f"one of {', '.join(algorithm_names())}")
        parser.add_argument("--output", help="write the plan here instead of to standard output")
        parser.add_argument("--time-limit", type=float, default=20.0, help="seconds the planner may take")
        parser.add_argument("--schema", choices=("problem", "result"), help="print the JSON Schema and do nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["schema"]:
            self.stdout.write(json.dumps(schemas()[options["schema"]], indent=2))
            return
        if not options["file"]:
            raise CommandError("Name a problem file, or - for standard input.")
        if not options["time_limit"] > 0:
            raise CommandError(f"A time limit of {options['time_limit']} s leaves no time: give more than 0.")
        try:
            planner = algorithm(options["algorithm"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        name = options["file"]
        try:
            raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise CommandError(f"Cannot read {name}: {error.strerror}.") from error
        try:
            problem = read_problem(raw)
            planned = algorithm_for(problem, planner, Options(time_limit_s=options["time_limit"]))
        except FileError as error:
            raise CommandError(f"{name}: {error}") from error
        planned.calculate()
        text = msgspec.json.format(msgspec.json.encode(result_of(options["algorithm"], planned, problem))).decode()
        if not options["output"]:
            self.stdout.write(text)
            return
        try:
            Path(options["output"]).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"Cannot write {options['output']}: {error.strerror}.") from error
