"""The composition root: settings become objects, objects become services. Only it knows them all."""

from hydrophone.bootstrap.demo import run_demo
from hydrophone.bootstrap.engine import Addresses, run_service
from hydrophone.bootstrap.explaining import Explainer, explain_stored, make_explainer
from hydrophone.bootstrap.parts import (
    DEFAULT_URLS,
    SOURCE_NAME,
    find_source,
    load_labels,
    make_supervisor,
)
from hydrophone.bootstrap.recordings import replay, run_record
from hydrophone.bootstrap.simulation import (
    SimulationRequest,
    SimulationSummary,
    run_simulation,
    simulate_truth,
)

__all__ = [
    "DEFAULT_URLS",
    "SOURCE_NAME",
    "Addresses",
    "Explainer",
    "SimulationRequest",
    "SimulationSummary",
    "explain_stored",
    "find_source",
    "load_labels",
    "make_explainer",
    "make_supervisor",
    "replay",
    "run_demo",
    "run_record",
    "run_service",
    "run_simulation",
    "simulate_truth",
]
