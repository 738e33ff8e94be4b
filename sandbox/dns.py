"""One DNS question, asked directly: the machine's own resolver knows nothing of the cluster."""

import secrets
import socket
import struct

HEADER = struct.Struct("!HHHHHH")
RECURSION_DESIRED = 0x0100
RESPONSE_CODE = 0x000F
TYPE_A_CLASS_IN = struct.pack("!HH", 1, 1)


def question(name: str, number: int) -> bytes:
    """A query packet for an address."""
    labels = b"".join(bytes([len(part)]) + part.encode("ascii") for part in name.split("."))
    return HEADER.pack(number, RECURSION_DESIRED, 1, 0, 0, 0) + labels + b"\0" + TYPE_A_CLASS_IN


def answered(packet: bytes, number: int) -> bool:
    """Whether a packet answers that query without an error and with at least one record."""
    if len(packet) < HEADER.size:
        return False
    identifier, flags, _, answers, _, _ = HEADER.unpack_from(packet)
    return bool(identifier == number and flags & RESPONSE_CODE == 0 and answers > 0)


def resolves(server: str, name: str) -> bool:
    """Ask once; False on silence or an error."""
    number = secrets.randbelow(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            sock.sendto(question(name, number), (server, 53))
            packet = sock.recv(4096)
        except OSError:
            return False
    return answered(packet, number)
