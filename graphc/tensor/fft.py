"""``T.fft``: Fourier transforms of real tensors, as in Theano."""

from graphc.ops.fourier import irfft, rfft

__all__ = ["irfft", "rfft"]
