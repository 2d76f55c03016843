"""Honest work of the kind that learns: PyTorch, JAX, Numba, OpenCV, Arrow, and a GPU kept busy. Debian has none of it, so
`cargo xtask eval runtime` does not run these: beside a guard, by hand, `python3 learning.py WHAT SECONDS`."""
import os
import sys
import time


def torch_cpu(going):
    import torch
    torch.set_num_threads(4)
    layer = torch.nn.TransformerEncoderLayer(256, 8, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4)
    by = torch.optim.AdamW(model.parameters())
    while going():
        x = torch.randn(16, 128, 256)
        by.zero_grad()
        (model(x) - x).pow(2).mean().backward()
        by.step()


def torch_int8(going):
    """Sixteen-bit floats and eight-bit integers."""
    import torch
    torch.set_num_threads(4)
    model = torch.nn.Sequential(*[torch.nn.Linear(1024, 1024) for _ in range(6)]).bfloat16()
    small = torch.randint(-128, 127, (1024, 1024), dtype=torch.int8)
    while going():
        model(torch.randn(256, 1024).bfloat16()).sum().backward()
        torch._int_mm(small, small)


def torch_gpu(going):
    """A GPU learns, and a processor prepares bytes for it."""
    import torch
    torch.set_num_threads(2)
    model = torch.nn.Sequential(*[torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(8)]).cuda()
    by = torch.optim.SGD(model.parameters(), 1e-3)
    while going():
        images = torch.randint(0, 255, (32, 64, 64, 64), dtype=torch.uint8)
        x = (images ^ 7).float().div_(255).cuda()
        by.zero_grad()
        (model(x) - x).pow(2).mean().backward()
        by.step()


def matmul_gpu(going):
    """Nothing but a busy GPU with 5 GiB of its memory taken."""
    import torch
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    _held = torch.empty(5 << 30, dtype=torch.uint8, device="cuda")
    while going():
        for _ in range(20):
            a @ a
        torch.cuda.synchronize()


def keccak_gpu(going):
    """Permutations like Keccak's, of numbers counted up."""
    import cupy
    kernel = cupy.RawKernel(r"""
extern "C" __global__ void permute(unsigned long long *out) {
  unsigned long long s[25];
  unsigned id = blockIdx.x * blockDim.x + threadIdx.x;
  for (int i = 0; i < 25; i++) s[i] = id * 0x9e3779b97f4a7c15ull + i;
  for (int round = 0; round < 2000; round++) {
    unsigned long long c[5];
    for (int x = 0; x < 5; x++) c[x] = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20];
    for (int x = 0; x < 5; x++) {
      unsigned long long d = c[(x + 4) % 5] ^ ((c[(x + 1) % 5] << 1) | (c[(x + 1) % 5] >> 63));
      for (int y = 0; y < 25; y += 5) s[y + x] ^= d;
    }
    for (int y = 0; y < 25; y += 5) {
      unsigned long long a = s[y], b = s[y + 1];
      s[y] ^= ~b & s[y + 2]; s[y + 1] ^= ~s[y + 2] & s[y + 3]; s[y + 2] ^= ~s[y + 3] & s[y + 4];
      s[y + 3] ^= ~s[y + 4] & a; s[y + 4] ^= ~a & b;
    }
    s[0] ^= round;
  }
  out[id] = s[0];
}""", "permute")
    out = cupy.zeros(132 * 2048, dtype=cupy.uint64)
    while going():
        kernel((132 * 8,), (256,), (out,))
        cupy.cuda.Device().synchronize()


def jax_cpu(going):
    """Matrices, and JAX's own counter-based random numbers."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp

    def step(_, x):
        return jnp.tanh(x @ x) / 10

    matrices = jax.jit(lambda k: jax.lax.fori_loop(0, 200, step, jax.random.normal(k, (512, 512))))
    bits = jax.jit(lambda k: jax.random.bits(k, (4_000_000,)).sum())
    n = 0
    while going():
        n += 1
        matrices(jax.random.key(n)).block_until_ready()
        bits(jax.random.key(n)).block_until_ready()


def numba(going):
    """Monte Carlo with a generator of shifts and exclusive ors, compiled as it runs."""
    import numba
    import numpy as np

    @numba.njit(parallel=True)
    def inside(count, seed):
        found = 0
        for i in numba.prange(count):
            x = np.uint64(i * 2654435761 + seed)
            x ^= x << np.uint64(13)
            x ^= x >> np.uint64(7)
            x ^= x << np.uint64(17)
            a = (x >> np.uint64(40)) / 16777216.0
            b = ((x >> np.uint64(8)) & np.uint64(0xFFFFFF)) / 16777216.0
            if a * a + b * b < 1:
                found += 1
        return found

    numba.set_num_threads(2)
    seed = 0
    while going():
        seed += 1
        inside(50_000_000, seed)


def opencv(going):
    import cv2
    import numpy as np
    cv2.setNumThreads(2)
    frame = np.random.randint(0, 255, (2160, 3840, 3), dtype=np.uint8)
    while going():
        small = cv2.resize(cv2.GaussianBlur(frame, (9, 9), 2), (1920, 1080))
        cv2.Canny(small, 50, 150)
        cv2.imencode(".png", small)


def arrow(going):
    """Grouping and joining, which hash keys."""
    import numpy as np
    import pyarrow as pa
    pa.set_cpu_count(2)
    columns = {"k": np.random.randint(0, 100_000, 4_000_000), "v": np.random.rand(4_000_000)}
    table = pa.table(columns)
    while going():
        table.group_by("k").aggregate([("v", "sum")])
        table.join(table.slice(0, 100_000), "k")


def xxh64(going):
    """A checksum of the same 16 MiB again and again."""
    import xxhash
    data = os.urandom(1 << 24)
    while going():
        xxhash.xxh64(data).digest()


WHAT = [torch_cpu, torch_int8, torch_gpu, matmul_gpu, keccak_gpu, jax_cpu, numba, opencv, arrow, xxh64]
until = time.monotonic() + float(sys.argv[2])
next(f for f in WHAT if f.__name__ == sys.argv[1])(lambda: time.monotonic() < until)
