"""A mode in which reading a value of a tensor fails, as it makes a program wait for a GPU."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.unique_dim.default,
    torch.ops.aten._unique2.default,
    torch.ops.aten.bincount.default,
}


class NoReads(TorchDispatchMode):
    """Fail at every operation whose result, or its shape, the CPU would have to wait for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in READS, (
            f"{function} reads values; F.one_hot does, "
            "`labels[:, None] == torch.arange(n_way)` does not"
        )
        if function in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default):
            masks = [index for index in args[1] if index is not None and index.dtype == torch.bool]
            assert not masks, "a mask as an index reads values"
        return function(*args, **(kwargs or {}))
