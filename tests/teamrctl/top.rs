//! `top` at a terminal.

use super::*;

#[test]
fn top_needs_a_terminal() {
    let run_dir = RunDir::new("top");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let answer = run_dir.teamrctl(&["top"]);
    answer.fails("top needs a terminal.\nElsewhere use: teamrctl status\n");
}

#[test]
fn top_refuses_a_dumb_terminal() {
    let run_dir = RunDir::new("dumb");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for term in ["dumb", ""] {
        let pty = openpty(None, None).unwrap();
        let terminal = fs::File::from(pty.slave);
        let mut command = Command::new(env!("CARGO_BIN_EXE_teamrctl"));
        command.arg("top").env("TEAMR_RUN_DIR", &run_dir.dir).env("TERM", term);
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("top cannot draw on this terminal: TERM is"), "{said}");
    }
}

/// `teamrctl top` at a terminal of 80 columns and 24 rows.
struct Top {
    child: Child,
    terminal: fs::File,
    keys: fs::File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Top {
    fn start(run_dir: &RunDir) -> Top {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let terminal = fs::File::from(pty.slave);
        let child = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
            .arg("top")
            .env("TEAMR_RUN_DIR", &run_dir.dir)
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .spawn()
            .unwrap();
        let keys = fs::File::from(pty.master);
        let mut reader = keys.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let _ = sender.send(bytes[..count].to_vec());
            }
        });
        Top { child, terminal, keys, screen, seen: String::new() }
    }

    /// Waits until the terminal has received `text`.
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let more = self.screen.recv_timeout(Duration::from_secs(20));
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
    }

    /// Waits until the program has succeeded and the terminal has its first screen and its cursor.
    fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
        self.wait_for("\x1b[?25h\x1b[?1049l");
    }
}

#[test]
fn top_fills_a_terminal_until_q() {
    let run_dir = RunDir::new("terminal");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let mut top = Top::start(&run_dir);
    top.wait_for("q: quit");
    let seen = &top.seen;
    assert!(seen.contains("team0  activebackup") && seen.contains("p10        active"), "{seen}");
    // A terminal of another size has another picture at once.
    let resized = Command::new("stty")
        .args(["rows", "3", "cols", "20"])
        .stdin(top.terminal.try_clone().unwrap())
        .status();
    assert!(resized.unwrap().success());
    top.seen.clear();
    top.wait_for("q: quit");
    let lines = top.seen.split("\x1b[K");
    let longest = lines.map(|line| line.trim_start_matches("\x1b[H").len()).max();
    assert!(longest <= Some(24), "{:?}", top.seen);
    top.keys.write_all(b"q").unwrap();
    top.end();
}

#[test]
fn top_restores_the_terminal_after_a_signal() {
    let run_dir = RunDir::new("signal");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut top = Top::start(&run_dir);
        top.wait_for("q: quit");
        kill(Pid::from_raw(top.child.id().try_into().unwrap()), signal).unwrap();
        top.end();
    }
}
