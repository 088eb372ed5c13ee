"""
Where the endpoints are.
"""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("registrations", views.register),
    path("registrations/<str:batch_id>", views.show),
    path("registrations/<str:batch_id>/retry", views.retry),
]
