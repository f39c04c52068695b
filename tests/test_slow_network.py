"""The network of ``benchmarks.transfers``: its commands, and that nothing of it is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import network
from benchmarks.network import SlowNetwork

NOBODY = 2**22 + 1  # greater than any process identifier of Linux


class Commands:
    """In the place of `subprocess`, without iproute2.

    :ivar ran: what would have been run
    :ivar refused: commands that begin so fail
    :ivar spaces: network namespaces that are there
    """

    CalledProcessError = subprocess.CalledProcessError
    PIPE = subprocess.PIPE

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.refused = "nothing"
        self.spaces = "other\n"

    def run(self, command: Sequence[str], *, check: bool, capture_output: bool) -> Any:
        """See `subprocess.run`."""
        text = " ".join(command)
        self.ran.append(text)
        if check and text.startswith(self.refused):
            raise subprocess.CalledProcessError(2, text, stderr=b"Error:\n unknown.\n")
        out = self.spaces.encode() if text == "ip netns list" else b""
        return subprocess.CompletedProcess(command, 0, out, b"")

    def Popen(self, *_: Any, **__: Any) -> Any:
        """There is no relay."""
        raise OSError("no relay")


class SlowNetworkTests(SynchronousTestCase):
    """50 ms there, 20 ms back."""

    def setUp(self) -> None:
        self.commands = Commands()
        self.patch(network, "subprocess", self.commands)
        self.network = SlowNetwork((50, 20), 1.5)
        self.first, self.second = self.network.namespaces

    def gone(self) -> None:
        """The last that was done is to remove both ends."""
        ends = [f"ip netns del {space}" for space in (self.first, self.second)]
        self.assertEqual(ends, self.commands.ran[-2:])

    def test_netem(self) -> None:
        """Each end delays and loses what leaves it, and reaches the other."""
        self.network.make()
        a, b = f"{self.first}0", f"{self.second}0"
        self.assertEqual(
            [
                "ip netns list",
                f"ip netns add {self.first}",
                f"ip netns add {self.second}",
                f"ip link add name {a} netns {self.first} type veth"
                f" peer name {b} netns {self.second}",
                f"tc -n {self.first} qdisc add dev {a} root netem limit 20000 delay 50ms loss 1.5%",
                f"tc -n {self.second} qdisc add dev {b} root netem"
                " limit 20000 delay 20ms loss 1.5%",
            ],
            self.commands.ran[:6],
        )
        for space, device, address in ((self.first, a, 1), (self.second, b, 2)):
            self.assertIn(
                f"ip -n {space} addr add 10.213.0.{address}/24 dev {device}", self.commands.ran
            )
            self.assertIn(f"ip -n {space} link set {device} up", self.commands.ran)
        self.assertEqual(("netem", ""), (self.network.by, self.network.no_netem))
        self.network.remove()
        self.gone()

    def test_no_netem(self) -> None:
        """Why it is not netem is known, and what was made for it is removed."""
        self.commands.refused = "tc"
        with self.assertRaises(OSError):
            self.network.make()
        self.assertEqual(("relay", "Error: unknown."), (self.network.by, self.network.no_netem))
        self.gone()

    def test_abandoned(self) -> None:
        """What a benchmark that was killed has left goes, nothing else."""
        mine = f"otw{os.getpid()}a"
        self.commands.spaces = f"other\notw{NOBODY}a (id: 3)\notw{NOBODY}b\n{mine}\notwo1a\n"
        network.remove_abandoned()
        self.assertEqual(
            ["ip netns list", f"ip netns del otw{NOBODY}a", f"ip netns del otw{NOBODY}b"],
            self.commands.ran,
        )
