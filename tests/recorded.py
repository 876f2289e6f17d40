"""The excerpt of a real backend's frames that tests and evaluations hear, with labels invented for it."""

from pathlib import Path

from hydrophone.runtime.frame import Frame
from hydrophone.sources.recording import RecordingLink

RECORDINGS = Path(__file__).parent / "recordings"
EXCERPT = RECORDINGS / "mempool-esplora.jsonl.gz"
EXCERPT_LABELS = RECORDINGS / "mempool-esplora-labels.csv"


def load_excerpt() -> list[Frame]:
    """Return the frames of one connection, with the REST answers that belong to it."""
    return list(RecordingLink(EXCERPT, source="mempool.space").frames())
