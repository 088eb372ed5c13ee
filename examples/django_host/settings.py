"""
The project's settings: one SQLite file for its models and for the library's tables.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

DATABASE = Path(os.environ.get("CHAPTER_DATABASE", "chapter.db")).absolute()
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
BATCH_STORE = f"sqlite:///{DATABASE}"  # yours may be postgresql+psycopg://…

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "examples.django_host"]
MIDDLEWARE = ["examples.django_host.problems.ProblemMiddleware"]
ROOT_URLCONF = "examples.django_host.urls"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
