"""
Runs the command line: `python -m proxy_orchestration`.
"""

from __future__ import annotations

from proxy_orchestration.cli import main

main()
