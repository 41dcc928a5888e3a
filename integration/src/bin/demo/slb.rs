//! A host with guests on two cables into a switch that cannot aggregate: roundrobin loses the guests,
//! slb does not.

use std::io::{self, Write};

use integration::{Cable, CableKind, DataPath, Lab, Namespace, Ping, Switch, Teamr, team_config};

use crate::{END, show, show_ping};

const PORTS: [(&str, &str); 2] = [("eth1", "host1"), ("eth2", "host2")];
const GUESTS: u8 = 3;
/// Echo requests of each guest.
const REQUESTS: u32 = 10;

const PICTURE: &str = "
             host                             switch                server
            ┌─────────────────────────┐      ┌────────────────┐     ┌──────┐
  guest1 ───┼─┐               ┌─ eth1 ┼──────┼ host1          │     │      │
  guest2 ───┼─┼─ br0 ── team0 ┤       │      │        server1 ┼─────┼ eth0 │
  guest3 ───┼─┘               └─ eth2 ┼──────┼ host2          │     │      │
            └─────────────────────────┘      └────────────────┘     └──────┘
  10.0.0.1 to 10.0.0.3                                               10.0.0.100
";

/// Runs the demo.
pub fn run(lab: &Lab, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Guests behind a bridge, two cables into a switch without an aggregate:")?;
    writeln!(out, "{PICTURE}")?;
    writeln!(out, "First the runner roundrobin, which needs an aggregate on the switch.\n")?;
    let site = Site::new(lab, "roundrobin");
    site.ping(out)?;
    show(out, "host", &site.team, "doctor")?;
    drop(site);

    writeln!(out, "\nNow the runner slb, which needs nothing of the switch.\n")?;
    let site = Site::new(lab, "slb");
    let answered = site.ping(out)?;
    show(out, "host", &site.team, "status")?;
    writeln!(out, "\nThe cable of eth1 is pulled.\n")?;
    site.cables[0].pull();
    site.team.wait_port("eth1", false);
    let after = site.ping(out)?;
    show(out, "host", &site.team, "ports")?;
    if [answered, after] != [u32::from(GUESTS) * REQUESTS; 2] {
        return Err(io::Error::other("with slb a guest got no answer"));
    }
    writeln!(out, "\n{END}")
}

/// The host, its guests, the switch and the server.
struct Site {
    guests: Vec<Namespace>,
    _server: Namespace,
    /// The bridge of the host.
    _host: Switch,
    _switch: Switch,
    cables: [Cable; 2],
    team: Teamr,
}

impl Site {
    /// Builds the site and starts the team with a runner.
    fn new(lab: &Lab, runner: &str) -> Site {
        let (host, switch) = (lab.switch("host"), lab.switch("switch"));
        let cables = PORTS.map(|(near, far)| {
            let ends = ((host.namespace(), near), (switch.namespace(), far));
            lab.cable(ends.0, ends.1, CableKind::Virtual)
        });
        cables.iter().for_each(|cable| switch.plug(cable.far_interface()));
        let server = lab.host("server");
        let ends = ((&server, "eth0"), (switch.namespace(), "server1"));
        let cable = lab.cable(ends.0, ends.1, CableKind::Virtual);
        switch.plug("server1");
        settle(&server, 100);

        let config =
            team_config("team0", runner, DataPath::Userspace, &PORTS.map(|(near, _)| near));
        let team = Teamr::start(host.namespace(), &config);
        host.plug("team0");
        let guests = (1..=GUESTS).map(|number| {
            let (guest, tap) = (lab.host(&format!("guest{number}")), format!("tap{number}"));
            let ends = ((&guest, "eth0"), (host.namespace(), &*tap));
            lab.cable(ends.0, ends.1, CableKind::Virtual);
            host.plug(&tap);
            settle(&guest, number);
            guest
        });
        let guests = guests.collect();
        team.wait_ports_up(&PORTS.map(|(near, _)| near));
        cables.iter().chain([&cable]).for_each(|cable| switch.wait_forwarding(cable));
        Site { guests, _server: server, _host: host, _switch: switch, cables, team }
    }

    /// Has every guest ping the server, and shows the counts. Returns the number of answers.
    fn ping(&self, out: &mut dyn Write) -> io::Result<u32> {
        let mut answered = 0;
        for (number, guest) in (1..).zip(&self.guests) {
            let ping = Ping::run(guest, "10.0.0.100", REQUESTS, "");
            answered += ping.answered;
            show_ping(out, &format!("guest{number}"), "10.0.0.100", ping)?;
        }
        Ok(answered)
    }
}

fn settle(host: &Namespace, number: u8) {
    host.up("eth0");
    host.address("eth0", &format!("10.0.0.{number}/24"));
}
