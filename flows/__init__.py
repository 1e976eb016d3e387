r"""Prefect flows and the command line; no science.

Prefect reads its settings when it is imported: what is set here are defaults, and what the
environment or a profile of the user says stays.
"""

import os

DEFAULTS = {
    # Nothing is sent anywhere
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # The temporary server takes ten seconds to start, and longer on a busy machine
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # What the pipeline logs is shown beside its flow run
    "PREFECT_LOGGING_EXTRA_LOGGERS": "pipeline",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}

for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
