"""
Drive accepted batches until SIGTERM or Ctrl-C: a process of its own, beside the web server.
"""

from __future__ import annotations

import signal

from django.core.management.base import BaseCommand
from examples.django_host.bulk import bulk


class Command(BaseCommand):
    """
    The command `serve_batches`.
    """

    help = "Drive accepted batches, take over stalled ones and deliver audit events."

    def handle(self, *_: object, **__: object) -> None:
        """
        Serve; what ends it frees the leases at once, so that the next process need not wait.
        """
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with bulk:
            try:
                self.stdout.write("serving")
                self.stdout.flush()
                bulk.serve()
            except KeyboardInterrupt:
                self.stdout.write("ended in order")
