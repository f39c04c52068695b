"""Two network namespaces with a slow network between them. Linux, root.

By netem where the kernel has it, by `benchmarks.relay` where it has only TUN devices. Either way
it is what leaves an interface that is late and may be lost. What a process that was killed has left
is removed when the next network is made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from benchmarks.servers import die_with_parent, environment

_NAME = re.compile(r"otw(\d+)[ab]")
# Packets under way. With the default of 1,000 a fast sender loses more than it is told to.
_LIMIT = "20000"


class SlowNetwork:
    """One pair of namespaces; several processes may have one each.

    :ivar namespaces: of the two ends
    :ivar addresses: IPv4 of the two ends
    :ivar by: what makes it slow, ``netem`` or ``relay``
    :ivar no_netem: why it is not netem, '' if it is
    :param delay_ms: of a packet from the first end, and of one from the second
    :param loss_percent: in both directions, each
    """

    def __init__(self, delay_ms: tuple[float, float], loss_percent: float) -> None:
        self.namespaces = (f"otw{os.getpid()}a", f"otw{os.getpid()}b")
        self.addresses = ("10.213.0.1", "10.213.0.2")
        self.by = "netem"
        self.no_netem = ""
        self._delay_ms = delay_ms
        self._loss_percent = loss_percent
        self._relay: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make it; to be removed by `remove`, unless it cannot be made.

        :raises subprocess.CalledProcessError: it is not allowed
        :raises OSError: there is no iproute2
        """
        try:
            remove_abandoned()
            try:
                self._by_netem()
            except (OSError, subprocess.CalledProcessError) as error:
                self.remove()
                self.by, self.no_netem = "relay", reason_of(error)
                self._by_relay()
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Remove the namespaces and the devices in them."""
        if self._relay is not None:
            self._relay.kill()
            self._relay.communicate()
            self._relay = None
        for space in self.namespaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def _by_netem(self) -> None:
        first, second = self._devices()
        self._add_namespaces()
        run(
            *("ip", "link", "add", "name", first, "netns", self.namespaces[0]),
            *("type", "veth", "peer", "name", second, "netns", self.namespaces[1]),
        )
        for space, device, delay in zip(
            self.namespaces, self._devices(), self._delay_ms, strict=True
        ):
            how = ("limit", _LIMIT, "delay", f"{delay:g}ms", "loss", f"{self._loss_percent:g}%")
            run("tc", "-n", space, "qdisc", "add", "dev", device, "root", "netem", *how)
        self._raise()

    def _by_relay(self) -> None:
        there, back = self._delay_ms
        self._relay = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.relay", *self._devices()),
                *("--delay-ms", str(there), str(back)),
                *("--loss", str(self._loss_percent / 100)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            preexec_fn=die_with_parent,
        )
        assert self._relay.stdin is not None
        assert self._relay.stdout is not None
        assert self._relay.stderr is not None
        if not self._relay.stdout.readline():
            lines = self._relay.stderr.read().splitlines() or [b"it has ended"]
            raise subprocess.CalledProcessError(1, "benchmarks.relay", stderr=lines[-1])
        self._add_namespaces()
        for space, device in zip(self.namespaces, self._devices(), strict=True):
            run("ip", "link", "set", device, "netns", space)
        self._raise()
        self._relay.stdin.write(b"go\n")
        self._relay.stdin.flush()

    def _devices(self) -> tuple[str, str]:
        return f"{self.namespaces[0]}0", f"{self.namespaces[1]}0"

    def _add_namespaces(self) -> None:
        for space in self.namespaces:
            run("ip", "netns", "add", space)

    def _raise(self) -> None:
        for space, device, address in zip(
            self.namespaces, self._devices(), self.addresses, strict=True
        ):
            run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", device)
            run("ip", "-n", space, "link", "set", device, "up")
            run("ip", "-n", space, "link", "set", "lo", "up")


def remove_abandoned() -> None:
    """Remove the namespaces of processes that are not there any more.

    :raises OSError: there is no iproute2
    """
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False).stdout
    for line in listed.decode().splitlines():
        match = _NAME.fullmatch(line.partition(" ")[0])
        if match and not os.path.exists(f"/proc/{match[1]}"):
            subprocess.run(["ip", "netns", "del", match[0]], capture_output=True, check=False)


def reason_of(error: OSError | subprocess.CalledProcessError) -> str:
    """What it says, in one line."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else b""
    return " ".join((said or str(error).encode()).decode(errors="replace").split())


def run(*command: str) -> None:
    """Run a command.

    :raises subprocess.CalledProcessError: it fails
    """
    subprocess.run(command, check=True, capture_output=True)
