from django.apps import AppConfig


class ChargingConfig(AppConfig):
    name = "charging"
    verbose_name = "Charging"

    def ready(self) -> None:
        from charging import receivers  # noqa: F401  (registers the signal receivers)
