"""Certificates, and Dask's scheduler and workers in processes of their own, as docs/GUIDE.md starts them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from parties.commands import demo
from secure_gal.settings.party import LearnerSettings, TlsFiles
from tests.support.commands import until

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
Array = npt.NDArray[np.float64]


class LeastSquares:
    """An estimator that takes no time to import, with some of the seed in it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, x: Array, y: Array) -> LeastSquares:
        """Least squares and a little noise."""
        if not np.isfinite(y).all():
            raise ValueError("y has values that are not finite")
        noise = np.random.default_rng(self._seed).standard_normal(x.shape[1])
        self._slopes = np.linalg.lstsq(x, y, rcond=None)[0] + 0.01 * noise
        return self

    def predict(self, x: Array) -> Array:
        """One number a row."""
        return x @ self._slopes


class Authority:
    """A certificate authority in a folder: NAME-ca.pem, and what it issues."""

    def __init__(self, folder: Path, name: str = "hospital") -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name} workers")])
        self.ca = folder / f"{name}-ca.pem"
        self.ca.write_bytes(_pem(self._certificate(self._subject, self._key, authority=True)))

    def issue(self, who: str) -> TlsFiles:
        """A certificate and its key, 0600."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)])
        files = TlsFiles(self.ca, self.folder / f"{self.name}-{who}.pem", self.folder / f"{self.name}-{who}.key")
        files.cert.write_bytes(_pem(self._certificate(subject, key, authority=False)))
        form = serialization.PrivateFormat.PKCS8
        body = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        files.key.touch(mode=0o600)
        files.key.write_bytes(body)
        return files

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._subject)
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
        made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        return made.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Cluster:
    """A scheduler, and workers of one thread; `tls` None is without. They end by themselves where tests were killed."""

    def __init__(self, tls: TlsFiles | None) -> None:
        self._tls = tls
        self.port = demo._free_port()
        self.address = f"{'tls' if tls else 'tcp'}://{LOOPBACK}:{self.port}"
        here = ("--host", LOOPBACK, "--no-dashboard")
        self.scheduler = self._start("scheduler", *here, "--port", str(self.port), "--idle-timeout", "5 minutes")
        self.workers: list[subprocess.Popen[str]] = []
        until(self.scheduler, "Scheduler at")

    def add(self, *names: str) -> None:
        """Start workers and wait until the scheduler knows them."""
        more = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", LOOPBACK, "--death-timeout", "60")
        started = [self._start("worker", self.address, "--name", name, *more) for name in names]
        self.workers += started
        for worker in started:
            until(worker, "Registered to")

    def learner(self, tls: TlsFiles | None = None) -> LearnerSettings:
        """Of a party whose workers these are."""
        return LearnerSettings(workers=self.address, tls=tls or self._tls)

    def close(self) -> None:
        """End whatever still runs."""
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait(timeout=60)
            if process.stderr is not None:
                process.stderr.close()

    def _start(self, what: str, *more: str) -> subprocess.Popen[str]:
        tls = self._tls
        files = () if tls is None else ("--tls-ca-file", tls.ca, "--tls-cert", tls.cert, "--tls-key", tls.key)
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *more, *map(str, files)]
        env = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False"}
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@contextlib.contextmanager
def cluster(tls: TlsFiles | None, *names: str) -> Iterator[Cluster]:
    """One with these workers."""
    made = Cluster(tls)
    try:
        made.add(*names)
        yield made
    finally:
        made.close()
