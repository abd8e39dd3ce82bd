"""Before anything imports numpy: two thread pools on one machine made runs 10-100 times slower."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

from hypothesis import settings

# The same examples every time, and no stop-watch: the machine is shared. OKAERI_EXAMPLES above 1 looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=float(os.environ.get("OKAERI_EXAMPLES", "1")) <= 1)
settings.load_profile("steady")
