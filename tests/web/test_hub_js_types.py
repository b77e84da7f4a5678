"""hub.d.ts: the types that the manual promises, and the members that hub.js has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from hookhub.testing.machine import find_program
from hookhub.web.resources.pages import CLIENT

USE = Path(__file__).parent / "types" / "use_of_hub.ts"


def members(text: str) -> set[str]:
    """The public members of the class Hub."""
    body = text[text.index("export class Hub ") :].split("\n}", 1)[0]
    found = re.findall(r"^  (?:get |readonly )?([a-z]\w+)[<(:]", body, re.MULTILINE)
    return set(found) - {"constructor"}


def test_the_same_members() -> None:
    """What Hub has, its declaration has, and nothing else."""
    declared = members((CLIENT / "hub.d.ts").read_text("utf-8"))
    assert {"on", "subscribe", "cursor", "close"} <= declared
    assert declared == members((CLIENT / "hub.js").read_text("utf-8"))


def test_the_types(tmp_path: Path) -> None:
    """TypeScript accepts right uses, knows payloads by their types, and refuses wrong uses."""
    tsc = find_program("tsc")
    shutil.copy(CLIENT / "hub.d.ts", tmp_path)
    shutil.copy(USE, tmp_path)
    options = "--noEmit --strict --target es2022 --lib es2022,dom --module esnext"
    done = subprocess.run(
        [tsc, *options.split(), "--moduleResolution", "bundler", USE.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
