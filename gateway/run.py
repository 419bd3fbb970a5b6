"""`fixwire run gateway.toml`: the gateway process, made from a checked configuration.

The engine runs in the main thread, so SIGINT and SIGTERM reach it: Logout everywhere, back within 2 s, exit 0. A thread
beside it writes what happens to sessions to the log; it is kept off the engine's core.
"""
import argparse
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from gateway.cli import Mistake
from gateway.config import Config, ConfigError, load
from gateway.eventlog import EventLog
from gateway.sessions import SessionMaker, sessions_needed

if TYPE_CHECKING:
    from dpdk_py.base import Device
    from gateway.desk import Desk
    from gateway.engine import Engine

log = logging.getLogger("fixwire.gateway")

def main(args: argparse.Namespace) -> int:
    """0 after a clean stop, 1 when a strategy's exception stopped the gateway, 2 for what cannot run."""
    try:
        config = load(args.file)
    except ConfigError as e:
        sys.stderr.write("".join(f"{p}\n" for p in e.problems))
        return 2
    except OSError as e:
        raise Mistake(f"{args.file} cannot be read: {e.strerror}") from None
    if args.check:
        print(f"{args.file}: {len(config.sessions)} sessions, every key is right")
        return 0
    return run(config)


def tcp_options(config: Config, beside: str) -> dict[str, Any]:
    """What Engine's `tcp` is to be: what differs from the stack's defaults."""
    options: dict[str, Any] = {"uto_enabled": config.user_timeout_option}
    if config.flight_recorder:
        options["flight_dir"] = os.path.join(beside, config.flight_recorder)
    if config.user_timeout is not None:
        options["user_timeout_ns"] = int(config.user_timeout * 1e9)
    return options


def run(config: Config) -> int:
    """Open everything the configuration names, run until told to stop, close everything."""
    from gateway.engine import Engine
    from gateway.loading import load_strategy
    check_core(config)
    beside = os.path.dirname(os.path.abspath(config.path))
    logging_to(config.log and os.path.join(beside, config.log))
    strategy = load_strategy(config.strategy, beside) if config.strategy else None
    with contextlib.ExitStack() as opened:
        # outside the engine, whose sessions write into their journals until it is closed
        stores = opened.enter_context(contextlib.ExitStack())
        device = opened.enter_context(open_configured(config))
        try:
            engine = opened.enter_context(Engine(
                device, config.address, gateway=config.gateway, seed=config.seed, idle=config.idle,
                sessions=sessions_needed(config), connections=4 * sessions_needed(config) + 64,
                tcp=tcp_options(config, beside)))
        except ValueError as e:
            raise Mistake(f"{config.path}: {e}") from None
        desk = open_desk(engine, config, strategy, opened)
        logs = opened.enter_context(contextlib.ExitStack())
        maker = SessionMaker(engine, config, stores, logs)
        maker.add_all(strategy if desk is None else desk)
        if desk is not None:
            let_in(desk, config)
        events = opened.enter_context(EventLog(engine, maker.logged))
        admin = serve_admin(engine, config, opened)
        # said by the engine's thread, once a signal would be heard
        engine.submit(log.info, "gateway on %s as %s, %d sessions, %s, %s", config.device, config.address,
                      len(config.sessions), f"core {config.core}" if config.core is not None else "no core of its own",
                      config.idle)
        try:
            engine.run(core=config.core)
        except Exception as e:      # a strategy's, by the policy "stop"; the engine has logged its traceback
            admin.close()
            events.stop()
            sys.stderr.write(f"fixwire: the strategy stopped the gateway: {type(e).__name__}: {e}\n")
            return 1
        admin.close()
        events.stop()
        log.info("stopped")
    return 0


def check_core(config: Config) -> None:
    """The core must be one this process may use."""
    if config.core is None:
        return
    mine = os.sched_getaffinity(0)
    if config.core not in mine:
        raise Mistake(f"{config.path}: core is {config.core}, this process may use {', '.join(map(str, sorted(mine)))}")


def open_desk(engine: "Engine", config: Config, strategy: object, opened: contextlib.ExitStack) -> "Desk | None":
    """The desk of strategies in processes of their own, where there is an [ipc]; the strategy inside sits behind it."""
    if config.ipc is None:
        return None
    from gateway.desk import Desk
    inner = engine.add_strategy(strategy, on_error=config.exceptions) if strategy is not None else None
    beside = os.path.dirname(os.path.abspath(config.path))
    return opened.enter_context(Desk(
        config.ipc["desk"], config.ipc["strategies"], inner=inner, events=config.ipc["events"],
        directory=os.path.join(beside, config.ipc["directory"]), message=config.ipc["message"]))


def let_in(desk: "Desk", config: Config) -> None:
    """Strategies may come from now on."""
    try:
        desk.open()
    except (OSError, ValueError) as e:
        raise Mistake(f"{config.path}: [ipc]: {e.strerror if isinstance(e, OSError) else e}") from None


def serve_admin(engine: "Engine", config: Config, opened: contextlib.ExitStack) -> contextlib.ExitStack:
    """The administration socket, where the configuration wants one; closed with what is returned."""
    served = opened.enter_context(contextlib.ExitStack())
    if config.admin:
        from gateway.admin import AdminServer, Unavailable, runtime_directory, socket_name
        beside = os.path.dirname(os.path.abspath(config.path))
        directory = runtime_directory(config.runtime_directory and os.path.join(beside, config.runtime_directory))
        audit = config.audit_log or os.path.splitext(os.path.basename(config.path))[0] + ".audit.log"
        try:
            served.enter_context(AdminServer(engine, os.path.join(directory, socket_name(config.path)),
                                             os.path.join(beside, audit)))
        except Unavailable as e:
            raise Mistake(f"{config.path}: {e} (admin = false: no administration)") from None
    return served


def logging_to(path: str | None) -> None:
    """The gateway's messages to `path`, or to standard error."""
    try:
        handler = logging.FileHandler(path) if path else logging.StreamHandler(sys.stderr)
    except OSError as e:
        raise Mistake(f"log file {path} cannot be written: {e.strerror}") from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])


def open_configured(config: Config) -> "Device":
    """The device, with EAL arguments where it is DPDK's."""
    from dpdk_py import DeviceError, open_device
    options: dict[str, Any] = {"eal": list(config.eal)} if config.eal else {}
    try:
        device: Device = open_device(config.device, **options)
        return device
    except DeviceError as e:
        raise Mistake(f"{config.path}: device {config.device}: {e}") from None
    except ValueError as e:
        raise Mistake(f"{config.path}: {e}") from None
