"""
The command `console`: serves the console to browsers on this machine only.
"""

from __future__ import annotations

import os
import secrets
import socket
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import anyio.to_thread
import attrs
import typer

from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration._extras import needs_extra
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    AppOption,
    Common,
    ConcurrencyOption,
    IfAbsent,
    StoreOption,
)
from proxy_orchestration.cli.session import Session, run_command
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.notices import PushMessage, PushOutcome

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

_ENDED: Final = "Settled results are kept. Start the console again to continue."
_HERE: Final = "127.0.0.1"
_KEY_BYTES: Final = 32
_EXAMPLE_PACE: Final = 0.25

PortOption = Annotated[
    int,
    typer.Option(
        "--port", min=0, max=65535, help="The port on 127.0.0.1 to listen on. 0 chooses a free port."
    ),
]
OpenOption = Annotated[bool, typer.Option("--open", help="Also open the browser.")]
ExampleOption = Annotated[
    bool, typer.Option("--example", help="Fill the store with example mentors, batches and certificates.")
]


def console(  # noqa: PLR0913 - the command's own options
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    example: ExampleOption = False,
    port: PortOption = 8765,
    open_browser: OpenOption = False,
    concurrency: ConcurrencyOption = 5,
) -> None:
    """
    Serve the coordinators' pages on this machine, and drive the batches that they submit.
    """
    common = Common(
        store=store,
        as_json=False,
        actor=actor,
        concurrency=concurrency,
        app=app,
        if_absent=IfAbsent.CREATE,
    )
    work = partial(_show, port=port, example=example, opens=open_browser)
    run_command(common, work, if_interrupted=_ENDED)


async def _show(session: Session, *, port: int, example: bool, opens: bool) -> ExitCode:
    with needs_extra("web", "uvicorn", needed_by="The console"):
        import uvicorn  # noqa: PLC0415 - an extra
    actor = _overseeing(session.common.actor)
    with _listening(session, port) as listening:
        address, site, drives = await _site(session, actor, port=listening.getsockname()[1], example=example)
        config = uvicorn.Config(site, log_level="error", lifespan="off", timeout_graceful_shutdown=2)
        server = _server(config)
        async with open_task_group() as group:  # which lasts until a signal cancels it
            await group.start(drives)
            group.start_soon(_run, server, [listening])
            session.output.say(f"The console is at  {address}")
            session.output.say("Press Ctrl-C to stop it.")
            if opens:
                await anyio.to_thread.run_sync(webbrowser.open, address)
    return ExitCode.SUCCESS


async def _site(session: Session, actor: Actor, *, port: int, example: bool) -> tuple[str, ASGIApp, Any]:
    """
    Return the address that lets somebody in, the pages behind it, and what drives beside them.
    """
    from proxy_orchestration.console import create_console  # noqa: PLC0415 - an extra
    from proxy_orchestration.console.loopback import TOKEN, LoopbackGate, loopback_hosts  # noqa: PLC0415 - an extra

    key = _key(session)
    parts = await _parts(session, actor, example=example)
    pages = create_console(**parts, actor=lambda: actor, secret=key)
    gate = LoopbackGate(app=pages, hosts=loopback_hosts(port), secret=key, cookie=f"console_{port}")
    return f"http://{_HERE}:{port}/?{TOKEN}={gate.token}", gate, parts["orchestrator"].serve


async def _parts(session: Session, actor: Actor, *, example: bool) -> dict[str, Any]:
    if example:
        from proxy_orchestration.cli import example_data  # noqa: PLC0415 - needs an extra

        await example_data.store_example(session, actor)
        shown = example_data.example_over(session, actor, pace=_EXAMPLE_PACE)
        types = {"activity_types": example_data.ACTIVITY_TYPES, "title": "Peer mentors"}
        return {**attrs.asdict(shown, recurse=False), **types}
    if session.common.app is not None:  # a host's notices are in a store that only the host knows
        return {"orchestrator": session.orchestrator}
    return {
        "orchestrator": session.orchestrator,
        "notifications": session.notifications,
        "dispatcher": PushDispatcher(repository=session.notices, sender=_SendsNothing(), clock=session.clock),
    }


class _SendsNothing:
    """
    In the place of a sender: the console queues messages again, and `dispatch` sends them.
    """

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        return [PushOutcome.retry(message, counted=False) for message in messages]


def _overseeing(actor: Actor | None) -> Actor:
    """
    Return the coordinator, who also oversees: whoever may open the store's file may read it whole.
    """
    assert actor is not None  # noqa: S101 - the option is required
    return attrs.evolve(actor, roles=actor.roles | {Role.CHAPTER_ADMIN})


@contextmanager
def _listening(session: Session, port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        if os.name == "posix":  # after a kill the port is taken for a minute otherwise
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HERE, port))
            listening.listen()  # whoever is quicker than the server waits for it, and is not refused
        except OSError:
            msg = (
                f"Port {port} of this machine is in use. Give another port, or let the command choose a free "
                "one: --port 0"
            )
            session.output.say(msg, style="red")
            raise typer.Exit(ExitCode.BAD_INPUT) from None
        yield listening


def _key(session: Session) -> bytes:
    """
    Return the key of tokens and forms: it stays beside a store's file, so that pages outlive a restart.

    A server's key is made anew at each start.
    """
    store = session.common.store
    if session.common.app is not None or store is None or store.file is None:
        return secrets.token_bytes(_KEY_BYTES)
    file = store.file.with_name(f"{store.file.name}.console-key")
    return _existing_key(file) or _stored_key(session, file)


def _stored_key(session: Session, file: Path) -> bytes:
    """
    Return a new key; where it cannot be stored, it is that of this start alone.
    """
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(key)
    except FileExistsError:  # another console was started at the same moment
        return _existing_key(file) or key
    except OSError as error:
        session.output.say(
            f"The console's key could not be stored in {file} ({type(error).__name__}), so open pages do not "
            "work after a restart. Make the folder writable, or remove what has that name."
        )
    return key


def _existing_key(file: Path) -> bytes | None:
    try:
        found = file.read_bytes()
    except OSError:
        return None
    return found if len(found) == _KEY_BYTES else None


def _server(config: uvicorn.Config) -> uvicorn.Server:
    """
    Return a server that leaves signals to the command, which ends all of its tasks.
    """
    import uvicorn  # noqa: PLC0415 - an extra

    class QuietServer(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return QuietServer(config)


async def _run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    """
    Serve until this task is cancelled, and let the server end by itself then.
    """
    async with open_task_group() as group:
        with anyio.CancelScope(shield=True):
            group.start_soon(_stop_when_cancelled, server)
            await server.serve(sockets=sockets)
        group.cancel_scope.cancel()


async def _stop_when_cancelled(server: uvicorn.Server) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True
