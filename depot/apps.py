from django.apps import AppConfig


class DepotConfig(AppConfig):
    name = "depot"
    verbose_name = "Depot"

    def ready(self) -> None:
        from depot import receivers  # noqa: F401  (registers the signal receivers)
