"""An authority for tests that signs certificates, for receivers that speak TLS."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("hookhub test authority")
        own = x509.BasicConstraints(ca=True, path_length=0)
        self.pem = _text(self._sign(self._name, self._key, own, critical=True))
        """Its own certificate."""

    def certify(
        self, host: str = "localhost", *, age: timedelta = timedelta(days=1)
    ) -> tuple[str, ssl.SSLContext]:
        """A certificate for this host, and the context of a server that has it.

        Args:
            age: since when it is valid; it is so for two days.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        text = _text(self._sign(_name(host), key, names, critical=False, age=age))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode("ascii") + private)
            file.flush()
            context.load_cert_chain(file.name)
        return text, context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        *,
        critical: bool,
        age: timedelta = timedelta(days=1),
    ) -> x509.Certificate:
        begin = datetime.now(UTC) - age
        return (
            x509.CertificateBuilder()
            .issuer_name(self._name)
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=2))
            .add_extension(extension, critical)
            .sign(self._key, hashes.SHA256())
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
