//! The tools that run inside a namespace; see [`integration::traffic`].

use std::process::ExitCode;
use std::{env, io};

use integration::traffic::{
    run_capture, run_client, run_flood, run_receiver, run_sender, run_server,
};
use integration::{run_change_link, run_holder_if_requested, run_ping, run_tap_nic, run_vlan};

fn main() -> ExitCode {
    run_holder_if_requested();
    let args: Vec<String> = env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((tool, args)) => match tool.as_str() {
            "send" => run_sender(args),
            "receive" => run_receiver(args),
            "connect" => run_client(args),
            "serve" => run_server(args),
            "capture" => run_capture(args),
            "flood" => run_flood(args),
            "ping" => run_ping(args),
            "tap-nic" => run_tap_nic(args),
            "vlan" => run_vlan(args),
            "change-link" => run_change_link(args),
            _ => Err(io::Error::other("no such tool")),
        },
        None => Err(io::Error::other(
            "send, receive, connect, serve, capture, flood, ping, tap-nic, vlan or change-link?",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}
