"""Arrays of CuPy, PyTorch and PyCUDA on a GPU: taken without a copy, given back as their own kind, in stream order.

The reference is the same op on the CPU; CPU and GPU give the same bits.
"""

from importlib import import_module

import numpy as np
import pytest

from reelmend import ops

SHAPE = (270, 481)


class CupyArrays:
    def __init__(self):
        self.cupy = pytest.importorskip("cupy")
        self.array = self.cupy.ndarray

    def put(self, x):
        return self.cupy.asarray(x)

    def get(self, x):
        return self.cupy.asnumpy(x)

    def stream(self):
        return self.cupy.cuda.Stream(non_blocking=True)

    def busy(self, x, stream):
        """Writes 2x over x on the stream, behind work that takes longer than an op takes to be queued."""
        with stream:
            big = self.cupy.ones((4096, 4096), self.cupy.float32)
            for _ in range(20):
                big = big @ big * 1e-4
            x *= 2


class TorchArrays:
    def __init__(self):
        self.torch = pytest.importorskip("torch")
        if not self.torch.cuda.is_available():
            pytest.skip("this PyTorch has no CUDA")
        self.array = self.torch.Tensor

    def put(self, x):
        return self.torch.from_numpy(x).cuda()

    def get(self, x):
        return x.cpu().numpy()

    def stream(self):
        return self.torch.cuda.Stream()

    def busy(self, x, stream):
        with self.torch.cuda.stream(stream):
            big = self.torch.ones(4096, 4096, device="cuda")
            for _ in range(20):
                big = big @ big * 1e-4
            x *= 2


class PycudaArrays:
    def __init__(self):
        pytest.importorskip("pycuda")
        import_module("pycuda.autoprimaryctx")
        self.gpuarray = import_module("pycuda.gpuarray")
        self.driver = import_module("pycuda.driver")
        self.array = self.gpuarray.GPUArray

    def put(self, x):
        return self.gpuarray.to_gpu(x)

    def get(self, x):
        self.driver.Context.synchronize()
        return x.get()

    def stream(self):
        return self.driver.Stream()

    def busy(self, x, stream):
        self.driver.memcpy_dtod_async(x.gpudata, (x * np.float32(2)).gpudata, x.nbytes, stream)


@pytest.fixture(params=[CupyArrays, TorchArrays, PycudaArrays], ids=["cupy", "torch", "pycuda"])
def library(request, cuda):
    """Each library that is installed with CUDA."""
    return request.param()


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return rng.random(SHAPE, np.float32), rng.uniform(-9, 9, (2, *SHAPE)).astype(np.float32)


def test_an_op_takes_and_gives_its_arrays(library, inputs):
    picture, flow = inputs
    result = ops.warp(library.put(picture), library.put(flow))
    assert isinstance(result, library.array)
    np.testing.assert_array_equal(library.get(result), ops.warp(picture, flow))


def test_results_are_written_where_they_are_wanted(library, inputs):
    picture, flow = inputs
    out = library.put(np.zeros(SHAPE, np.float32))
    ops.warp(library.put(picture), library.put(flow), out=out)
    np.testing.assert_array_equal(library.get(out), ops.warp(picture, flow))


def test_an_op_on_the_stream_that_writes_its_input_waits_for_it(library, inputs):
    picture, flow = inputs
    x, f, stream = library.put(picture), library.put(flow), library.stream()
    library.busy(x, stream)
    result = ops.warp(x, f, stream=stream)
    stream.synchronize()
    np.testing.assert_array_equal(library.get(result), ops.warp(2 * picture, flow))


class DlpackOnly:
    """A GPU array that can do nothing but hand itself over by DLPack."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_dlpack_keeps_order_across_streams(cuda, inputs):
    library = CupyArrays()
    picture, flow = inputs
    x, f, out = library.put(picture), library.put(flow), library.put(np.zeros(SHAPE, np.float32))
    writes, runs = library.stream(), library.stream()
    library.cupy.cuda.runtime.deviceSynchronize()
    library.busy(x, writes)
    with writes:  # CuPy orders its current stream before the one that DLPack is asked for
        ops.warp(DlpackOnly(x), f, out=out, stream=runs)
    runs.synchronize()
    np.testing.assert_array_equal(library.get(out), ops.warp(2 * picture, flow))
