"""What teamsyncd does with libteam: the ports of a LAG and which of them are enabled, told anew at
each change. The argument is the LAG; ends when it is killed."""

import ctypes
import select
import socket
import sys

lib = ctypes.CDLL("libteam.so.5")
HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)


class ChangeHandler(ctypes.Structure):
    _fields_ = [("func", HANDLER), ("type_mask", ctypes.c_uint32)]


for name in ["team_alloc", "team_get_next_port"]:
    getattr(lib, name).restype = ctypes.c_void_p
lib.team_get_port_ifindex.restype = ctypes.c_uint32
lib.team_is_port_present.restype = ctypes.c_bool

PORT_AND_OPTION_CHANGE = 0x3


def tell(team, _private, _changes):
    ports = []
    port = None
    while port := lib.team_get_next_port(ctypes.c_void_p(team), ctypes.c_void_p(port)):
        if not lib.team_is_port_present(ctypes.c_void_p(team), ctypes.c_void_p(port)):
            continue
        index = lib.team_get_port_ifindex(ctypes.c_void_p(port))
        enabled = ctypes.c_bool()
        if lib.team_get_port_enabled(ctypes.c_void_p(team), index, ctypes.byref(enabled)) == 0:
            ports.append((socket.if_indextoname(index), enabled.value))
    print(" ".join(f"{name}={'on' if on else 'off'}" for name, on in sorted(ports)) or "none")
    sys.stdout.flush()
    return 0


team = ctypes.c_void_p(lib.team_alloc())
index = socket.if_nametoindex(sys.argv[1])
assert lib.team_init(team, index) == 0
handler = ChangeHandler(HANDLER(tell), PORT_AND_OPTION_CHANGE)
assert lib.team_change_handler_register(team, ctypes.byref(handler), None) == 0
tell(team.value, None, 0)
events = lib.team_get_event_fd(team)
while True:
    select.select([events], [], [])
    if lib.team_handle_events(team) < 0:
        sys.exit("libteam failed")
