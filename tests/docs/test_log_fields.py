"""
The table of log events is the code's: every message, level and extra field, no more and no less.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from proxy_orchestration import _loggers

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "proxy_orchestration"
PAGE = (ROOT / "docs" / "guide-operations.md").read_text(encoding="utf-8")
_LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}

Event = tuple[str, str, str, tuple[str, ...]]
"""Logger, level, message, keys."""


def _logger(tree: ast.Module) -> str:
    """
    Return the name that a module's logger is made with: one of the pinned constants.
    """
    (argument,) = (
        call.args[0]
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "logging.getLogger"
    )
    assert isinstance(argument, ast.Attribute)
    name = getattr(_loggers, argument.attr)
    assert isinstance(name, str)
    return name


def _keys(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """
    Yield the keys of an extra: a literal, a name or a function of the module that stands for one.
    """
    match node:
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if key is None:
                    yield from _keys(value, tree)
                else:
                    assert isinstance(key, ast.Constant)
                    yield str(key.value)
        case ast.Call(func=ast.Name(id=name)):
            (function,) = (
                each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name
            )
            (answer,) = (each.value for each in function.body if isinstance(each, ast.Return) and each.value)
            yield from _keys(answer, tree)
        case ast.Name(id=name):
            (value,) = (
                each.value
                for each in ast.walk(tree)
                if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == name
            )
            yield from _keys(value, tree)
        case _:
            raise AssertionError(ast.unparse(node))


def _events() -> Iterator[Event]:
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr not in _LEVELS or ast.unparse(call.func.value) not in {"_log", "self.logger"}:
                continue
            message = call.args[0]
            assert isinstance(message, ast.Constant), f"{path.name}: a message is a literal"
            extras = {each.arg: each.value for each in call.keywords}
            assert {"extra"} == set(extras), f"{path.name}: {message.value}: extra fields, and no traceback"
            keys = tuple(_keys(extras["extra"], tree))
            yield _logger(tree), call.func.attr.upper(), str(message.value), keys


def _told() -> Iterator[Event]:
    section = PAGE.partition("## Logs")[2].partition("\n## ")[0]
    for logger, level, message, keys in re.findall(
        r"^\| `([\w.]+)` \| ([A-Z]+) \| `([^`]+)` \| ([^|]*) \|$", section, re.MULTILINE
    ):
        yield f"proxy_orchestration.{logger}", level, message, tuple(re.findall(r"`(\w+)`", keys))


def test_the_table_of_log_events_is_the_code_s() -> None:
    """
    Whoever filters or counts by a field can rely on the page.
    """
    assert sorted(set(_events())) == sorted(_told())


def test_the_loggers_keep_the_names_that_hosts_filter_by() -> None:
    """
    A module may move; the name of its logger is part of the interface.
    """
    names = {value for name, value in vars(_loggers).items() if name.isupper()}

    assert {
        "proxy_orchestration.audit",
        "proxy_orchestration.console",
        "proxy_orchestration.engines",
        "proxy_orchestration.notification.dispatch",
        "proxy_orchestration.notification.enrollment",
        "proxy_orchestration.notification.orchestrator",
        "proxy_orchestration.notification.passes",
        "proxy_orchestration.notification.recipients",
        "proxy_orchestration.notification.visibility",
        "proxy_orchestration.push.fcm",
        "proxy_orchestration.registration.conflict_checks",
        "proxy_orchestration.registration.driver",
        "proxy_orchestration.registration.drives",
        "proxy_orchestration.registration.serving",
        "proxy_orchestration.registration.single_registrar",
        "proxy_orchestration.storage.schema",
        "proxy_orchestration.web",
    } == names


def test_no_extra_field_is_a_field_of_the_record_itself() -> None:
    """
    The standard library would refuse it, at the moment of the error.
    """
    own = {*vars(logging.makeLogRecord({})), "message", "asctime"}

    assert set() == own & {key for *_, keys in _events() for key in keys}


def test_every_field_is_explained_and_no_other() -> None:
    """
    One name for one thing, in every room.
    """
    section = PAGE.partition("| Field | Content |")[2].partition("\n\n")[0]
    explained = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", section, re.MULTILINE)))

    assert sorted({key for *_, keys in _events() for key in keys}) == sorted(explained)


def test_no_module_logs_in_another_way() -> None:
    """
    A logger by another name would be on no page.
    """
    found = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "logging.getLogger(" in line and not re.match(r"_log = |    logger: logging.Logger = ", line)
    ]

    assert ["cli/session.py"] == found  # it shows the records of all, and writes none
