"""Addon of ifupdown2: starts the team of a stanza before ifupdown2 sets the addresses.

ifupdown2 runs the hooks in /etc/network/if-pre-up.d after it has set the addresses. The addon runs
teamr's hook before; afterwards the hook finds the team and does nothing. The addon runs where
/etc/network/ifupdown2/addons.conf has the line "pre-up,team" before "pre-up,address".
"""

import os
import subprocess
import time

try:
    from ifupdown2.ifupdownaddons.modulebase import moduleBase
    from ifupdown2.lib.addon import Addon
except ImportError:
    # Debian's ifupdown2 is no package of Python.
    from ifupdownaddons.modulebase import moduleBase
    from lib.addon import Addon

HOOK = "/etc/network/if-pre-up.d/teamr"
# Seconds that ifupdown2 may take to hear from the kernel that the device exists.
PATIENCE = 5


# ifupdown2 looks for a class with the name of the file.
class team(Addon, moduleBase):
    """The options of teamr's stanzas."""

    _modinfo = {
        "mhelp": "team of the daemon teamr",
        "attrs": {
            "team-ports": {
                "help": "ports of the team, or none",
                "validvals": ["<interface-list>", "none"],
                "example": ["team-ports eth1 eth2"],
            },
            "team-runner": {
                "help": "runner of the team",
                "default": "roundrobin",
                "example": ["team-runner activebackup"],
            },
            "team-config": {
                "help": "configuration of the team, as a file or as JSON",
                "example": ["team-config /etc/teamr/team0.json"],
            },
        },
    }

    def __init__(self, *args, **kargs):
        Addon.__init__(self)
        moduleBase.__init__(self, *args, **kargs)

    def get_ops(self):
        """Returns the phases that the addon has a part in."""
        return ["pre-up"]

    def run(self, ifaceobj, operation, query_ifaceobj=None, **extra_args):
        """Starts the team of a stanza with options team-*, and waits for its device."""
        if operation != "pre-up" or not any(key.startswith("team-") for key in ifaceobj.config):
            return
        env = {**os.environ, **ifaceobj.get_env(), "MODE": "start", "PHASE": operation}
        hook = subprocess.run([HOOK], env=env, stderr=subprocess.PIPE, text=True)
        if hook.returncode:
            raise Exception(hook.stderr.strip() or f"teamr: {ifaceobj.name}: the hook has failed")
        end = time.monotonic() + PATIENCE
        while not self.cache.link_exists(ifaceobj.name):
            if time.monotonic() > end:
                raise Exception(f"teamr: {ifaceobj.name}: ifupdown2 does not see the device")
            time.sleep(0.01)
