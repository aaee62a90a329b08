from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"
    verbose_name = "Scheduling"

    def ready(self) -> None:
        from scheduling import triggers  # noqa: F401  (listens to what changes a plan's inputs)
        from scheduling.live import receivers

        receivers.connect()
