"""
Serve on this machine: `python -m examples.fastapi_host`, from the root of the repository.
"""

from __future__ import annotations

import os
import sys

import uvicorn

from .host import create_app


def main() -> None:
    """
    Serve until Ctrl-C or SIGTERM; the port may be given, and the database in `DATABASE_URL`.
    """
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    app = create_app(os.environ.get("DATABASE_URL", "sqlite:///chapter.db"))
    uvicorn.run(app, port=port)


if __name__ == "__main__":
    main()
