"""The error of files that cannot be loaded."""

from __future__ import annotations


class ModelFormatError(ValueError):
    """A file is no model file of gdfast, is damaged, or was written in a newer format.

    Raised by :func:`gdfast.load`. The message says what is wrong, and where in the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import gdfast
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "empty.safetensors")
    ...     open(path, "wb").close()
    ...     try:
    ...         gdfast.load(path)
    ...     except gdfast.ModelFormatError as error:
    ...         print(str(error).replace(path, "empty.safetensors"))
    empty.safetensors cannot be loaded: it is not a model file: it has 0 bytes, too few for a header.
    """
