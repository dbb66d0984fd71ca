"""A certificate authority of a test, and the server certificates that it signs."""
import ssl
import subprocess
from pathlib import Path

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]


class Authority:
    """An authority in `directory`: `path` is its certificate, and clients that trust it use `context`."""

    def __init__(self, directory):
        self._directory = Path(directory)
        self.path = self._directory / "ca.pem"
        self._openssl("-subj", "/CN=Test", "-keyout", "ca.key", "-out", "ca.pem")

    @property
    def context(self):
        """For clients."""
        return ssl.create_default_context(cafile=self.path)

    def sign(self, name="server", host="IP:127.0.0.1"):
        """The files (certificate, key) of a server that `host` names."""
        self._openssl(
            "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-addext", f"subjectAltName={host}", "-addext", "basicConstraints=critical,CA:FALSE",
        )
        return self._directory / f"{name}.pem", self._directory / f"{name}.key"

    def server_context(self, **certificate):
        """For servers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign(**certificate))
        return context

    def _openssl(self, *arguments):
        command = ["openssl", "req", "-x509", *arguments, *KEY]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
