"""``python -m tests.faults``: the guard's false alarms over every file of the libraries that the tests sample."""

from __future__ import annotations

import sys

from tests.unit.test_leaks import false_alarms

if __name__ == "__main__":
    count, alarms = false_alarms(1)
    print(f"false alarms of the leak guard: {len(alarms)} in {count} files")
    print("\n".join(alarms))
    sys.exit(len(alarms) * 10_000 >= count)
