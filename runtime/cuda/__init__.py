"""The CUDA target: the same plans and kernels, on an NVIDIA GPU or in Numba's simulator.

A kernel's argument block, its statements and a plan's places are those of the CPU. What is new
lies here.

- *A plan on a device*: its calls (``bound``, ``repeat`` for many in a row) and what comes in and
  goes out (``borders``, ``arrays``, ``interchange``); its words in memory (``link``), what each
  step launches (``actions``, ``loops``, ``host_steps``), in which order and in which captured
  graphs (``schedule``, ``graphs``); where shared variables live (``homes``), what stopped it
  (``failures``), and what it wants memory for (``holdings``).
- *Devices*: what is asked of one (``asked``), Numba's answer (``driver``), launches without Numba
  (``launching``), pinned memory (``staging``), what this machine has (``probe``), and what becomes
  of errors (``faults``).
- *Loop nests as kernels*: what their sizes choose (``deal``), and how they are printed (``emit``,
  ``rows``, ``strips``, ``walks``, ``copies``, ``combine``, ``atomics``).
- *What the words of kernels mean*: how they are defined (``words``, ``namespace``), and they
  themselves (``accesses``, ``arithmetic``, ``casts``, ``halves``, ``maths``, ``memory``,
  ``philox``, ``vectors``); ``bits`` is what printers write for 16 bits.
- *Kernels of one routine each*: products (``matrices``) and convolutions (``convolutions``,
  ``implicit``, ``pixels``) over one loop of ``tiles``; ``pooling``, ``scans``, ``compressed``,
  ``turned``; pointers, coefficients and copies (``kernels``); ``shapes`` is what they return.
- *Libraries*: cuBLAS (``products``), cuDNN (``cudnn``), cuSOLVER (``solvers`` chooses, ``calls``
  and ``matrix_kernels`` lay out, ``cusolver`` asks).
- *Compilation*: ``ptx``, the cache on disk (``store``), and what people see (``source``).

A routine that plans get has its kernels in a file of its own, whose ``shapes(step, threads,
blocks)`` says what to launch, and a branch in ``Actions.of``.
"""
