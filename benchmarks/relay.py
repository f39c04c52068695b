"""A slow network in user space, for kernels without netem: ``python -m benchmarks.relay A B``.

Makes two TUN devices, says so by a line on standard output, and when a line came in carries IPv4
packets from one to the other, each of them later, some of them never, as netem does it to what
leaves an interface. The devices may be moved into network namespaces in between. Linux, root.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_PACKET_BYTES = 65536
_IPV4 = 4


def tun(name: str) -> int:
    """Make a TUN device; a descriptor of its packets, without anything before them.

    :raises OSError: it is not allowed
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    request = struct.pack("16sH22x", name.encode("ascii"), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


def relay(ends: dict[int, tuple[int, float]], loss: float, chance: random.Random) -> None:
    """Carry packets, for ever.

    :param ends: descriptor of one end to that of the other, and the seconds on the way there
    :param loss: share of the packets, 0 to 1
    """
    under_way: list[tuple[float, int, int, bytes]] = []
    number = 0
    while True:
        wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(list(ends), [], [], wait_s)[0]:
            other, delay_s = ends[end]
            for packet in _packets(end):
                if chance.random() >= loss:
                    number += 1
                    due = time.monotonic() + delay_s
                    heapq.heappush(under_way, (due, number, other, packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(under_way)
            os.write(end, packet)


def _packets(end: int) -> list[bytes]:
    found = []
    try:
        while True:
            packet = os.read(end, _PACKET_BYTES)
            # What IPv6 announces by itself would move the dice.
            if packet[0] >> 4 == _IPV4:
                found.append(packet)
    except BlockingIOError:
        return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="benchmarks.relay", description=__doc__)
    parser.add_argument("names", nargs=2, help="of the devices")
    parser.add_argument("--delay-ms", type=float, nargs=2, default=(50, 50), help="there, back")
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    first, second = (tun(name) for name in options.names)
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    there_s, back_s = (delay / 1000 for delay in options.delay_ms)
    ends = {first: (second, there_s), second: (first, back_s)}
    relay(ends, options.loss, random.Random(options.seed))


if __name__ == "__main__":
    main()
