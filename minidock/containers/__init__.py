"""A bundle becomes a process: steps, runtime, launcher, shim, exec."""

import sys

# msgspec takes three names (get_type_hints, Required, NotRequired) from typing_extensions if that is installed, and
# from typing otherwise, which does as well for our types; but loading typing_extensions takes 10 ms.
if "msgspec" not in sys.modules and "typing_extensions" not in sys.modules:
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # "there is no such module" (import system)
    import msgspec  # noqa: F401

    del sys.modules["typing_extensions"]
