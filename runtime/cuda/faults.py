"""What becomes of the errors of CUDA's driver and libraries, and who may use a device when.

`using` is the one way in: it holds the device's lock, makes the device the thread's current one
and puts the former back, and turns what goes wrong inside into errors that say what to do. They
are told apart by the names that NVIDIA gives them, which all libraries quote.
"""

from __future__ import annotations

import gc
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Protocol, TypeVar

from graphc.core.devices import cuda_name
from graphc.core.errors import DeviceLostError, DeviceMemoryError, GraphError, TargetError
from graphc.core.plan import size_text
from graphc.runtime.forks import unlock_in_children

LOST = frozenset(
    "CUDA_ERROR_" + name for name in (
        "DEINITIALIZED", "DEVICE_UNAVAILABLE", "ECC_UNCORRECTABLE", "NVLINK_UNCORRECTABLE",
        "CONTAINED", "ILLEGAL_ADDRESS", "LAUNCH_TIMEOUT", "CONTEXT_IS_DESTROYED", "ASSERT",
        "HARDWARE_STACK_ERROR", "ILLEGAL_INSTRUCTION", "MISALIGNED_ADDRESS",
        "INVALID_ADDRESS_SPACE", "INVALID_PC", "LAUNCH_FAILED", "TENSOR_MEMORY_LEAK",
        "EXTERNAL_DEVICE", "MPS_CLIENT_TERMINATED", "MPS_RPC_FAILURE", "UNKNOWN",
    )
)  # fmt: skip
"""After these, every call of the process for the device fails, as CUDA's manual has it."""
FULL = frozenset(("CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED",
                  "CUDNN_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED"))  # fmt: skip
OLD = frozenset(("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "CUDA_ERROR_NO_BINARY_FOR_GPU",
                 "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER"))  # fmt: skip
_NAME = re.compile(r"\b(?:CUDA_ERROR|CUBLAS_STATUS|CUDNN_STATUS|CUSOLVER_STATUS)_[A-Z_]+")
WHOLE = ("values between steps", "words", "work area", "argument", "result", "constant")
"""What of a device's memory is a plan's own, in the order of messages."""

M = TypeVar("M")


def names_in(error: BaseException) -> list[str]:
    """NVIDIA's names of what an error says went wrong."""
    return _NAME.findall(f"{error} {getattr(error, 'msg', '')}")


class Owner:
    """For whom memory is taken: a plan, by what people call it.

    Attributes
    ----------
    begun : the variables that steps which may have been launched write to.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.begun: list[str] = []

    def what_changed(self) -> str:
        """For messages: whether a call that failed has left traces."""
        if not self.begun:
            return "nothing was changed, and the function can be called again"
        return (f"the function can be called again, and updates of {', '.join(self.begun)} may be "
                "done already")  # fmt: skip


class Spare(Protocol):
    """Something that keeps memory for later use."""

    def release_spare(self) -> None:
        """Forget what nobody uses now."""


class DeviceState:
    """What is known of a device in this process besides its driver's calls.

    Attributes
    ----------
    lock : held by who uses the device; steps of two calls never mix on its stream.
    lost : what is raised from now on, when the context is gone.
    homes : where shared variables live there, once one does.
    """

    def __init__(self, ordinal: int, name: str, forks: bool = True) -> None:
        self.ordinal, self.name, self.forks = ordinal, name, forks
        self.label = f"{cuda_name(ordinal)} ({name})"
        self.lost: DeviceLostError | None = None
        self.owner: Owner | None = None
        self.homes: Any = None
        self.spare: weakref.WeakSet[Any] = weakref.WeakSet()
        self.held: weakref.WeakKeyDictionary[Any, tuple[int, str, Owner | None]]
        self.held = weakref.WeakKeyDictionary()
        self.lock = threading.RLock()
        unlock_in_children(self)

    def forget_callers(self) -> None:
        """In a child process: no thread is inside, and CUDA doesn't outlive a fork."""
        self.lock = threading.RLock()
        if not self.forks:
            self._lose(
                "a CUDA context doesn't live on in a child process that is forked",
                "start processes with multiprocessing's 'spawn', or before CUDA is used",
            )

    # --- memory -----------------------------------------------------------------------

    def allocate(self, driver: Any, size: int, kind: str, what: str, make: Callable[[], M]) -> M:
        """Memory by `make`, written down; what nobody uses is given up before it fails."""
        try:
            memory = make()
        except Exception as error:
            if not FULL.intersection(names_in(error)):
                raise
            for keeper in list(self.spare):
                keeper.release_spare()
            gc.collect()
            driver.reclaim()
            try:
                memory = make()
            except Exception as again:
                if not FULL.intersection(names_in(again)):
                    raise
                raise self.full(driver, size, kind, what) from again
        self.held[memory] = (size, kind, self.owner)
        return memory

    def full(self, driver: Any, size: int, kind: str, what: str = "") -> DeviceMemoryError:
        """The error for memory that isn't there: who wanted it, and who has what."""
        whom = f" of {self.owner.label}" if self.owner is not None else ""
        wanted = f"{size_text(size)} ({size:,} bytes)" if size else "more"
        lines = [f"{self.label} has no room for {wanted}, for {kind}{f' {what}' if what else ''}"
                 f"{whom}"]  # fmt: skip
        own: dict[str, int] = {}
        others: dict[Any, int] = {}
        for taken, sort, owner in list(self.held.values()):
            if sort == "shared variable" or owner is None:
                others[sort] = others.get(sort, 0) + taken
            elif owner is self.owner:
                own[sort] = own.get(sort, 0) + taken
            else:
                others[owner] = others.get(owner, 0) + taken
        ranked = [*(k for k in WHOLE if k in own), *sorted(set(own) - set(WHOLE))]
        held = ", ".join(f"{k} {size_text(own[k])}" for k in ranked) or "nothing yet"
        lines.append(f"this plan holds: {held}")
        plans = [n for k, n in others.items() if isinstance(k, Owner)]
        rest = [f"{k}s {size_text(n)}" for k, n in others.items() if not isinstance(k, Owner)]
        if plans:
            rest.append(f"{len(plans)} other plan{'s' * (len(plans) > 1)} {size_text(sum(plans))}")
        lines.append(f"graphc holds besides: {', '.join(rest) or 'nothing'}")
        with suppress(Exception):
            room = driver.room()
            if room is not None:
                lines.append(f"free: {size_text(room[0])} of {size_text(room[1])}")
        return DeviceMemoryError(
            "\n  ".join(lines),
            "use smaller batches, keep fewer results and functions of other sizes, or end what "
            "else runs there (nvidia-smi shows it)" + self._changed(),
        )

    def _changed(self) -> str:
        return f"; {self.owner.what_changed()}" if self.owner is not None else ""

    # --- errors -----------------------------------------------------------------------

    def raise_lost(self) -> None:
        """Raise what ended the use of the device, if something did."""
        if self.lost is not None:
            raise DeviceLostError(self.lost.what, self.lost.hint)

    def translated(self, driver: Any, error: BaseException) -> Exception | None:
        """What is to be raised instead of an error; None where it says enough.

        After an error whose name tells nothing, the driver is asked whether the context is
        still good: a library may have met only the consequence.
        """
        if isinstance(error, DeviceLostError):
            return None
        names = names_in(error)
        lost = next((n for n in names if n in LOST), None)
        if self.lost is None:
            try:
                driver.synchronize()  # copies under way have memory of ours, which is used again
            except Exception as second:
                lost = lost or next((n for n in names_in(second) if n in LOST), None)
        if lost is not None:
            return self._lose(f"CUDA says {lost}")
        if isinstance(error, GraphError):
            return None
        if FULL.intersection(names):
            return self.full(driver, 0, "the driver or a library")
        if OLD.intersection(names):
            from graphc.runtime.cuda import probe

            return TargetError(
                f"{self.label} can't load a kernel ({names[0]}): "
                + probe.versions_text(probe.look()),
                "update NVIDIA's driver, or install the compiler of its version: "
                + probe.INSTALL,
            )
        if names:
            return TargetError(f"{self.label}: {' '.join(str(error).split())}",
                               "the target 'cpu' works without" + self._changed())  # fmt: skip
        return None

    def _lose(self, why: str, hint: str = "") -> DeviceLostError:
        if self.lost is None:
            names = self.homes.lose() if self.homes is not None else []
            gone = f"; lost with it: {', '.join(names)}" if names else ""
            self.lost = DeviceLostError(
                f"{self.label} can't be used by this process any more: {why}. Its CUDA context is "
                f"gone, and so are the values in its memory{gone}",
                hint or "start the process again, from a checkpoint; meanwhile functions of the "
                "target 'cpu' work, and set_value() gives lost shared variables new values",
            )
        return DeviceLostError(self.lost.what, self.lost.hint)


class _Here(threading.local):
    """The devices that this thread has entered, innermost last."""

    def __init__(self) -> None:
        self.stack: list[Any] = []


_HERE = _Here()


class using:
    """A block in which this thread has a device to itself, as its current one.

    Parameters
    ----------
    driver : Driver
    owner : for whom memory is taken inside.
    """

    def __init__(self, driver: Any, owner: Owner | None = None) -> None:
        self.driver, self.owner = driver, owner
        self.context: Any = None

    def __enter__(self) -> None:
        state, stack = self.driver.state, _HERE.stack
        self.lock = state.lock
        self.lock.acquire()
        try:
            state.raise_lost()
            if not stack or stack[-1] is not self.driver:
                context = self.driver.context()
                context.__enter__()
                self.context = context
        except BaseException as error:
            self.lock.release()
            found = state.translated(self.driver, error)
            if found is not None:
                raise found from error
            raise
        stack.append(self.driver)
        self.before, state.owner = state.owner, self.owner or state.owner

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        state, found = self.driver.state, None
        try:
            if error is not None:
                found = state.translated(self.driver, error)
        finally:
            state.owner = self.before
            _HERE.stack.pop()
            try:
                if self.context is not None:
                    self.context.__exit__(None, None, None)
            finally:
                self.lock.release()
        if found is not None:
            raise found from error


@contextmanager
def both(one: Any, current: Any, owner: Owner | None = None) -> Iterator[None]:
    """A block that has two devices, or more, to itself; `current` is the thread's current one.

    Locks are taken in the order of devices' numbers, so that two threads that want the same
    devices can't wait for each other.
    """
    with ExitStack() as stack:
        for driver in sorted({one, current}, key=lambda d: d.ordinal):
            stack.enter_context(using(driver))
        stack.enter_context(using(current, owner))
        yield
