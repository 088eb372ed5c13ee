"""
The chapter's own tables: who answers for which mentor, and the visits.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class Mentor(models.Model):
    """
    A mentor, and the coordinator who registers for them.
    """

    mentor_id = models.CharField(max_length=200, primary_key=True)
    coordinator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)

    def __str__(self) -> str:
        return self.mentor_id


class Visit(models.Model):
    """
    A visit; its two constraints keep the registration service's promises.
    """

    registration_id = models.CharField(max_length=410, unique=True)
    mentor_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=200)
    day = models.DateField()
    minutes = models.PositiveIntegerField()
    registered_by = models.CharField(max_length=200)
    in_spite_of = models.CharField(max_length=20, default="", blank=True)

    class Meta:
        """
        The same mentor, kind and day is a duplicate, unless it was decided to register in spite of it.
        """

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["mentor_id", "kind", "day", "in_spite_of"], name="one_visit")
        ]

    def __str__(self) -> str:
        return self.registration_id
