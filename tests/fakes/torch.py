"""torch and safetensors.torch as far as returned values use them: tensors over numpy, files by the real safetensors.

The real torch takes 900 MB and is no dependency of the tests. What ``in_image/returns.py`` asks of it is here, under
the names that torch 2 documents.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import numpy as files

__all__ = ["Parameter", "Tensor", "modules"]

_STRIDED = "torch.strided"


class Tensor:
    """A tensor over an array; ``changes`` are answers that differ from those of a plain one."""

    __slots__ = ("__dict__", "array", "changes")

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array, self.changes = np.asarray(array), changes

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def layout(self) -> str:
        return self.changes.get("layout", _STRIDED)

    @property
    def device(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(type=self.changes.get("device", "cpu"))

    @property
    def requires_grad(self) -> bool:
        return self.changes.get("requires_grad", False)

    def is_conj(self) -> bool:
        return self.changes.get("conj", False)

    def is_neg(self) -> bool:
        return self.changes.get("neg", False)

    def is_contiguous(self) -> bool:
        return self.array.flags.c_contiguous

    def numel(self) -> int:
        return self.array.size

    def untyped_storage(self) -> types.SimpleNamespace:
        whole = self.array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        return types.SimpleNamespace(data_ptr=lambda: whole.ctypes.data)


class Parameter(Tensor):
    """A tensor of a module's own class."""


def _save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    return files.save({name: one.array for name, one in tensors.items()}, metadata)


def _save_file(tensors: dict[str, Tensor], filename: str, metadata: dict[str, str] | None = None) -> None:
    Path(filename).write_bytes(_save(tensors, metadata))


def _load(data: bytes) -> dict[str, Tensor]:
    return {name: Tensor(array.copy()) for name, array in sorted(files.load(data).items())}


def modules() -> dict[str, types.ModuleType]:
    """Return what stands in ``sys.modules`` where both are there and torch was imported."""
    torch, reader = types.ModuleType("torch"), types.ModuleType("safetensors.torch")
    vars(torch).update(
        Tensor=Tensor, strided=_STRIDED, zeros=lambda shape, dtype: Tensor(np.zeros(shape, dtype)), __version__="2.9"
    )
    vars(reader).update(save=_save, save_file=_save_file, load=_load)
    return {"torch": torch, "safetensors.torch": reader}
