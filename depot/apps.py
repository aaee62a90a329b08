from django.apps import AppConfig


class DepotConfig(AppConfig):
    name = "depot"
    verbose_name = "Depot"

    def ready(self) -> None:
        from depot import (
            celery,  # noqa: F401  (tasks of every process go to the configured broker, not to Celery's default one)
            receivers,  # noqa: F401  (registers the signal receivers)
        )
