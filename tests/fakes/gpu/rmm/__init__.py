from __future__ import annotations

from cupy.cuda import check

#: What the pool was asked for, one entry a call.
POOLS: list[dict] = []


def reinitialize(
    pool_allocator=False, managed_memory=False, initial_pool_size=None, maximum_pool_size=None, devices=0,
    logging=False, log_file_name=None,
):  # fmt: skip
    check("pool")
    POOLS.append({"pool": pool_allocator, "managed": managed_memory, "start": initial_pool_size})
