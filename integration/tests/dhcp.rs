//! DHCP over a team device, as over any network card.

use std::fs;

use integration::{
    CableKind, DataPath, Lab, Ping, Process, Sharing, SiteWithTeam, on_own_data_paths, wait_until,
};

/// The script of the DHCP client.
const SCRIPT: &str = "#!/bin/sh
[ \"$1\" = bound ] && exec ip address add \"$ip/$mask\" dev \"$interface\"
exit 0
";

fn a_dhcp_lease_is_obtained_and_used(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let setup = SiteWithTeam::new(&lab, "activebackup", data_path, CableKind::Virtual);
    let (left, right) = (&setup.site.left, &setup.site.right);
    right.address("eth1", "10.0.0.2/24");
    let folder = lab.folder().display();
    let server = right.start(&format!(
        "dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=eth1 --bind-interfaces \
         --dhcp-authoritative --dhcp-range=10.0.0.50,10.0.0.50,255.255.255.0 \
         --dhcp-leasefile={folder}/leases"
    ));
    wait_until("the server to serve", || server.log().contains("DHCP, IP range"));

    let script = lab.folder().join("lease");
    fs::write(&script, SCRIPT).expect("write a script");
    left.run(&format!("chmod +x {}", script.display()));
    let mut client: Process =
        left.start(&format!("busybox udhcpc -f -q -n -t 20 -T 1 -i team0 -s {}", script.display()));
    assert!(client.wait().success(), "{}\n{}", client.log(), server.log());
    assert!(left.ip("address show dev team0").contains("10.0.0.50/24"));
    assert!(Ping::run(left, "10.0.0.2", 10, "").is_exact());
}

on_own_data_paths! { a_dhcp_lease_is_obtained_and_used }
