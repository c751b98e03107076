"""Keys of one local cluster: who has not got them can neither reach its scheduler nor its workers.

A Dask scheduler or worker runs what it is sent, and any process of a machine can connect to a port of it. So the
processes of a pool speak TLS with each other, and each side asks for the other's certificate. There is one certificate,
made for one pool, signed by itself and trusted by nobody else. Its key is handed to workers through their stdin; it is
on the disk only while Python's `ssl` reads it, in a folder that other users cannot open.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.security import Security

_LIFE = timedelta(days=365)
_CLOCK = timedelta(days=1)
"""A clock that is put back must not make the certificate one of the future."""


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """A certificate and its private key, as PEM."""

    certificate: str
    key: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    def security(self) -> Security:
        """For scheduler, workers and client alike: connections without this certificate are refused."""
        from distributed.security import Security

        roles = ("client", "scheduler", "worker")
        named = {f"tls_{role}_cert": self.certificate for role in roles}
        named |= {f"tls_{role}_key": self.key for role in roles}
        return Security(require_encryption=True, tls_ca_file=self.certificate, **named)


def new_keys() -> ClusterKeys:
    """Keys for one pool, in a millisecond: a curve (P-256) needs no search for primes, as dask's own RSA keys do."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tkbench")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK)
        .not_valid_after(now + _LIFE)
        .sign(key, hashes.SHA256())
    )
    return ClusterKeys(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
