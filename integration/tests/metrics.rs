//! `teamrctl metrics` with its two kinds of readers: node_exporter, which reads files, and scrapers
//! over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, Teamr, binary, skip, team_config,
    wait_for,
};

/// Starts two teams of one port each, with runners that have different metrics.
fn two_teams(lab: &Lab, host: &Namespace) -> [Teamr; 2] {
    let peer = lab.host("peer");
    let teams = [("team0", "lacp", "eth1"), ("team1", "activebackup", "eth2")];
    teams.map(|(device, runner, port)| {
        lab.cable((host, port), (&peer, port), CableKind::Virtual);
        peer.up(port);
        let config = team_config(device, runner, DataPath::Userspace, &[port]);
        let team = Teamr::start(host, &config);
        team.wait_port(port, true);
        team
    })
}

#[test]
fn node_exporter_reads_the_file() {
    const PROGRAM: &str = "prometheus-node-exporter";
    if Command::new(PROGRAM).arg("--version").output().is_err() {
        return skip(&format!("no `{PROGRAM}` here (Debian package of that name)"));
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    let teams = two_teams(&lab, &host);
    let folder = lab.folder().join("textfile");
    fs::create_dir(&folder).expect("make a folder");
    // One file for each team; both files have the same families.
    for team in &teams {
        let file = folder.join(format!("{}.prom", team.device()));
        team.ask(&format!("metrics file {}", file.display()));
    }
    let mut command = host.command(PROGRAM);
    command
        .args(["--collector.disable-defaults", "--collector.textfile"])
        .arg(format!("--collector.textfile.directory={}", folder.display()))
        .arg("--web.listen-address=127.0.0.1:9100");
    let mut exporter = Process::start("node_exporter", lab.folder(), command);
    let exposed = wait_for("node_exporter to answer", || {
        assert!(exporter.ended().is_none(), "{}", exporter.log());
        fetch(&host, "http://127.0.0.1:9100/metrics")
    });
    for sample in [
        "node_textfile_scrape_error 0",
        r#"teamr_info{data_path="relay",runner="lacp",team="team0"} 1"#,
        r#"teamr_info{data_path="relay",runner="activebackup",team="team1"} 1"#,
        r#"teamr_port_up{port="eth1",team="team0"} 1"#,
        r#"teamr_port_active{port="eth2",team="team1"} 1"#,
        "# TYPE teamr_port_down_total counter",
    ] {
        let found = exposed.lines().any(|line| line == sample);
        assert!(found, "{sample}\n{exposed}\n{}", exporter.log());
    }
    exporter.stop();
}

#[test]
fn a_scraper_reads_at_a_port_and_at_a_socket() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    let serve = |address: &str| {
        let mut command = host.command(binary("teamrctl"));
        command.args(["metrics", "serve", address]);
        Process::start("metrics", lab.folder(), command)
    };
    let mut server = serve("127.0.0.1:9200");
    let exposed = wait_for("the metrics to be served before there is a team", || {
        fetch(&host, "http://127.0.0.1:9200/metrics")
    });
    assert!(!exposed.contains("teamr_info{"), "{exposed}");
    let teams = two_teams(&lab, &host);
    let of_both = |text: &str| {
        teams.iter().all(|team| {
            let sample = format!("teamr_port_link{{team=\"{}\"", team.device());
            text.contains(&sample)
        })
    };
    let exposed = fetch(&host, "http://127.0.0.1:9200/metrics").expect("metrics");
    assert!(of_both(&exposed), "{exposed}");
    server.kill();

    let socket = lab.folder().join("metrics.sock");
    let address = socket.to_str().expect("a path in UTF-8");
    // The second server finds the socket of the first.
    for _ in 0..2 {
        let mut server = serve(address);
        let mut stream = wait_for("the metrics to be served", || UnixStream::connect(&socket).ok());
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").expect("send a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
        assert!(answer.starts_with(head) && of_both(&answer), "{answer}");

        let mut other = serve(address);
        assert_eq!(other.wait().code(), Some(1));
        assert!(other.log().contains("the socket is in use"), "{}", other.log());
        server.kill();
    }
}

/// Returns the text at this URL of the host; `None` without a server.
fn fetch(host: &Namespace, url: &str) -> Option<String> {
    let output = host.try_run(&format!("busybox wget -q -O - {url}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}
