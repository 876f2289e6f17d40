"""What several stories begin with."""

from pathlib import Path

import pytest

from tests.replay.expected import (
    unpack_excerpt,
)


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    return unpack_excerpt(tmp_path)
