from prometheus_client import Counter, Histogram

PLAN_RUNS = Counter("fleet_depot_plan_runs", "Optimisation runs by outcome", ["status"])
PLAN_SECONDS = Histogram(
    "fleet_depot_plan_seconds",
    "Reading, solving, checking and writing of one run, s",
    buckets=(0.05, 0.1, 0.3, 1, 3, 10, 30),
)
