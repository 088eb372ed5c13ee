"""
Write the pages again.
"""

from __future__ import annotations

from pathlib import Path

from generated_pages import errors, settings

DOCS = Path(__file__).parents[1]


def main() -> None:
    """
    Write each page where it is read.
    """
    (DOCS / "settings.md").write_text(settings.page(), encoding="utf-8")
    (DOCS / "errors.md").write_text(errors.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
