"""What compiled code needs of gdfast: where its header is, and where its functions are."""

from __future__ import annotations

from pathlib import Path

from gdfast import _core


def get_include() -> str:
    """Directory of ``gdfast.h``, the C and C++ header, and of ``gdfast.pxd``, Cython's.

    A build passes it to the compiler as an include directory, and to ``cythonize`` as ``include_path``.
    The extension needs gdfast when it runs, too: ``gdfast_import()`` imports it.

    Returns
    -------
    str
        The path.

    Examples
    --------
    >>> import gdfast
    >>> from pathlib import Path
    >>> sorted(path.name for path in Path(gdfast.get_include()).iterdir())
    ['gdfast.h', 'gdfast.pxd']
    """
    return str(Path(__file__).parent / "include")


def function_address(name: str) -> int:
    """Address of a function of ``gdfast.h``, for ``ctypes``, ``cffi`` and Numba.

    The function is called as ``gdfast.h`` declares it. It needs no GIL and does not touch Python; it stays
    where it is until the process ends.

    Parameters
    ----------
    name : str
        The function's name, such as ``"gdfast_rule_update_f32"``.

    Returns
    -------
    int
        The address.

    Raises
    ------
    TypeError
        If name is not a string.
    ValueError
        If there is no such function.

    Examples
    --------
    >>> import ctypes
    >>> import gdfast
    >>> last_error = ctypes.CFUNCTYPE(ctypes.c_char_p)(gdfast.function_address("gdfast_last_error"))
    >>> rule_init = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)(
    ...     gdfast.function_address("gdfast_rule_init")
    ... )
    >>> rule_init(None, 0, 0), last_error()
    (1, b'rule must not be NULL')
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    return _core.function_address(name)
