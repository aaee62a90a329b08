from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"
    verbose_name = "Scheduling"

    def ready(self) -> None:
        from depot.algorithms import register_algorithms
        from scheduling import triggers, warming  # noqa: F401  (listen to what changes a plan's inputs, to workers)
        from scheduling.engine import algorithm_names
        from scheduling.live import receivers

        register_algorithms(algorithm_names())
        receivers.connect()
