"""What a reader of one encrypted round has to open (decision 27)."""

from __future__ import annotations

from benchmarks import calls

MOST_FILES = 22


def test_one_encrypted_round_goes_through_few_files_and_names_no_state_by_a_text() -> None:
    found = calls.counted()
    assert found["files"] <= MOST_FILES, sorted(found["by_file"])
    assert not found["state_calls_by_key"]
