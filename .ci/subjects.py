"""Subjects of commits are sentences that fit: CONTRIBUTING.md, "Commits".

Looks at all since the rule is kept. Where that history is not at hand (an archive, a shallow clone,
no git), there is nothing to look at.
"""

from __future__ import annotations

import subprocess
import sys

SINCE = "059ce81ba9d14e8516152a894b8aabb018dadf97"
LONGEST = 72


def main() -> int:
    """Name every subject that is too long or ends with a full stop; the exit status."""
    command = ["git", "log", "--no-merges", "--format=%h %s", f"{SINCE}..HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        print("The history since the rule is kept is not here: no subject was looked at.")
        return 0
    wrong = [line for line in done.stdout.splitlines() if not _fits(line.partition(" ")[2])]
    if wrong:
        print(f"At most {LONGEST} characters without a full stop:", *wrong, sep="\n  ")
    return bool(wrong)


def _fits(subject: str) -> bool:
    return len(subject) <= LONGEST and not subject.endswith(".")


if __name__ == "__main__":
    sys.exit(main())
