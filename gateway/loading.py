"""Strategies by name: `module:Name` or `path/to/file.py:Name`, as the command line and gateway.toml give them."""
import os
import sys
from typing import Any

from gateway.cli import Mistake


def load_strategy(spec: str, beside: str = ".") -> Any:
    """The strategy `spec` names: a class, or a function that makes one, is called without arguments, an object is
    taken as it is.

    Modules are looked for in the directory `beside` first, then where Python looks. Mistake says in one sentence what
    is wrong, an exception raised while the module or the strategy is made included, with its file and line.
    """
    module, colon, name = spec.rpartition(":")
    if not colon or not module or not name.isidentifier():
        raise Mistake(f"strategy {spec!r} must be module:Name or path/to/file.py:Name")
    directory = os.path.abspath(beside)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        loaded = _from_file(module, directory) if module.endswith(".py") else _from_path(module)
        found = getattr(loaded, name, None)
        if found is None:
            raise Mistake(f"strategy {spec!r}: {module} has no {name}{_near(name, loaded)}")
        return found() if isinstance(found, type) or (callable(found) and not hasattr(found, "on_message")) else found
    except Mistake:
        raise
    except Exception as e:
        raise Mistake(f"strategy {spec!r} cannot be made: {type(e).__name__}: {e}{_place(e)}") from e


def _from_path(module: str) -> Any:
    import importlib
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        if e.name is not None and (module == e.name or module.startswith(e.name + ".")):
            raise Mistake(f"strategy module {module!r} is not found, neither here nor where Python looks") from None
        raise


def _from_file(path: str, directory: str) -> Any:
    import importlib.util
    path = os.path.join(directory, path)
    if not os.path.isfile(path):
        raise Mistake(f"strategy file {path} does not exist")
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Mistake(f"strategy file {path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


def _near(name: str, module: Any) -> str:
    import difflib
    near = difflib.get_close_matches(name, [n for n in dir(module) if not n.startswith("_")], 1)
    return f", did you mean {near[0]}?" if near else ""


def _place(e: BaseException) -> str:
    tb = e.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return f" ({tb.tb_frame.f_code.co_filename}:{tb.tb_lineno})" if tb is not None else ""
