"""
`python -m examples.django_host` shows it on this machine; with a command's name it is `manage.py`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.core.management import call_command, execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_host.settings")


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """
    A server for a first look; yours is gunicorn, uWSGI or another one.
    """

    daemon_threads = True


def show(port: int) -> None:
    """
    Make tables and people, drive in a thread, and answer until Ctrl-C or SIGTERM.
    """
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - after the setup

    from .bulk import bulk  # noqa: PLC0415 - as above
    from .example_data import fill  # noqa: PLC0415 - as above

    fill()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bulk, make_server("127.0.0.1", port, get_wsgi_application(), ThreadingServer) as server:
        # A first look is one process; in production `serve_batches` is a process of its own.
        threading.Thread(target=bulk.serve, daemon=True).start()
        try:
            print(f"http://127.0.0.1:{server.server_port}", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended in order", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdigit():
        execute_from_command_line(sys.argv)
    else:
        show(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
