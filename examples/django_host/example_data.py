"""
Invented people for a first look: Anna answers for thirty mentors.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, User

from .models import Mentor


def fill() -> None:
    """
    Make them, unless they are there.
    """
    anna, is_new = User.objects.get_or_create(username="anna")
    if is_new:
        anna.set_password("anna")
        anna.save()
        anna.groups.add(Group.objects.get_or_create(name="coordinators")[0])
    for number in range(1, 31):
        Mentor.objects.get_or_create(mentor_id=f"mentor-{number}", defaults={"coordinator": anna})
