"""The composition root: settings become objects, objects become services. Only it knows them all."""

from hydrophone.bootstrap.access import check_access, token_file
from hydrophone.bootstrap.demo import run_demo
from hydrophone.bootstrap.engine import Addresses, run_service
from hydrophone.bootstrap.explaining import Explainer, explain_stored, make_explainer
from hydrophone.bootstrap.label_sets import (
    STALE_DAYS,
    KnownList,
    SetReport,
    SyncState,
    export_labels,
    find_list,
    import_labels,
    sync_labels,
    sync_states,
)
from hydrophone.bootstrap.parts import (
    DEFAULT_URLS,
    SOURCE_NAME,
    find_source,
    load_labels,
    make_supervisor,
    today,
)
from hydrophone.bootstrap.recordings import replay, run_record
from hydrophone.bootstrap.simulation import (
    SimulationRequest,
    SimulationSummary,
    run_simulation,
    simulate_truth,
)
from hydrophone.bootstrap.upkeep import control_path

__all__ = [
    "DEFAULT_URLS",
    "SOURCE_NAME",
    "STALE_DAYS",
    "Addresses",
    "Explainer",
    "KnownList",
    "SetReport",
    "SimulationRequest",
    "SimulationSummary",
    "SyncState",
    "check_access",
    "control_path",
    "explain_stored",
    "export_labels",
    "find_list",
    "find_source",
    "import_labels",
    "load_labels",
    "make_explainer",
    "make_supervisor",
    "replay",
    "run_demo",
    "run_record",
    "run_service",
    "run_simulation",
    "simulate_truth",
    "sync_labels",
    "sync_states",
    "today",
    "token_file",
]
