"""
The file of figures: what the page, its tables and its plot are made of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs

FILE: Final = Path(__file__).with_name("results.json")


@attrs.define
class Results:
    """
    Figures by their names.
    """

    figures: dict[str, Any]

    @classmethod
    def read(cls) -> Results:
        """
        Return the figures of earlier runs.
        """
        return cls(json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {})

    def write(self) -> None:
        """
        Keep the figures.
        """
        text = json.dumps(self.figures, indent=1, sort_keys=True, ensure_ascii=False)
        FILE.write_text(f"{text}\n", encoding="utf-8")

    def put(self, *path: object, value: Any) -> None:
        """
        Set one figure.
        """
        *folders, name = map(str, path)
        place = self.figures
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value

    def get(self, *path: object) -> Any:
        """
        Return a figure, or `None`.
        """
        place: Any = self.figures
        for name in map(str, path):
            place = place.get(name) if isinstance(place, dict) else None
        return place
