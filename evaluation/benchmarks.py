"""`make bench`: every figure a ratio against a named baseline, or beside its bar, measured in one run."""

import asyncio
import sys

from evaluation import broadcast_bench, ingest_bench, labels_bench, latency_bench, store_bench


def main() -> int:
    """Run all benchmarks, one after the other."""
    ingest_bench.main()
    labels_bench.main()
    asyncio.run(store_bench.main())
    broadcast_bench.main()
    asyncio.run(latency_bench.main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
