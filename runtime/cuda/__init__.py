"""The CUDA target: the same plans and kernels, on an NVIDIA GPU or in Numba's simulator.

A kernel's argument block, its statements and a plan's places are those of the CPU. What is new
lies here: how a loop nest is dealt out to threads (``emit``), what the words of the kernel
language mean there (``words``, ``arithmetic``, ``casts``, ``maths``, ``philox``, ``memory``),
which calls of the driver run them (``driver``, ``launching``, ``graphs``), what a step launches
(``actions``, ``loops``, ``host_steps``), and a plan in a device's memory: its words (``link``),
its stretches of launches (``schedule``), its calls (``bound``, ``repeat``). Numba
compiles what isn't on the disk.
"""
