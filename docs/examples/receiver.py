"""A webhook receiver to try things with: ``python3 receiver.py PORT SECRET``.

It prints every event whose signature holds. Standard library only; verify.py stands beside it.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from verify import verify


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what the hub signed, 401 to anything else."""

    secret = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = verify(self.headers, body, self.secret)
        if genuine:
            print(self.headers["X-Webhook-Event"], body.decode(), flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Only events are printed."""


if __name__ == "__main__":
    Receiver.secret = sys.argv[2]
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
