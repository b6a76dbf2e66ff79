"""Runs pytest in forks of a process that has imported the libraries already: most of a short run is their import.

Run as a script with a copied tree's folder, which it enters. A line in is JSON, `{"arguments": [...], "out": path,
"seconds": CPU seconds}`; two lines out are the fork's process id, which leads a session of its own, and its exit
status. Nothing of the product is imported before the fork, since that is what is edited.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import runpy
import signal
import sys
import traceback
from pathlib import Path

LIBRARIES = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "msgspec",
    "numpy.testing",
    "pytest",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "tenseal.sealapi",
    "zmq",
)


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    os.chdir(folder)
    sys.path[:] = [str(folder), *(name for name in sys.path if name != str(Path(__file__).parent))]
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _become_pytest(asked["arguments"], asked["out"], asked["seconds"])
        print(child, flush=True)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):  # all that the tests started, while the number is still theirs
            os.killpg(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become_pytest(arguments: list[str], out: str, seconds: int) -> None:
    """In the fork: never returns to the loop."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(nothing, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["pytest", *arguments]
    code = 70
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
