//! The blocks of the README and the guides that are marked `lab`, run on a host with two cables into a plain switch.
//!
//! The switch has a second host at 192.0.2.1. `/etc/teamr` stands for a folder of the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use integration::{
    CableKind, Lab, Namespace, Sharing, Site, binary, programs, repository, wait_until,
};

/// A block of a guide: what stands behind its fence, and its lines.
struct Block {
    kind: String,
    lines: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body = lines.by_ref().take_while(|line| *line != "```");
            blocks.push(Block { kind: kind.to_owned(), lines: body.map(str::to_owned).collect() });
        }
    }
    blocks
}

/// A command line with the lines that a guide shows below.
struct Step {
    command: String,
    shown: Vec<String>,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step { command: command.to_owned(), shown: Vec::new() });
            }
            (None, Some(step)) => step.shown.push(line.clone()),
            (None, None) => panic!("output before the first command: {line}"),
        }
    }
    steps
}

/// A host with the configurations of a guide.
struct Host {
    host: Namespace,
    folder: PathBuf,
}

impl Host {
    fn run(&self, command: &str) -> Output {
        let line = command.replace("/etc/teamr", self.folder.to_str().expect("a path in UTF-8"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = self.host.command("sh");
        shell.args(["-c", &line]).env("PATH", format!("{}:{path}", programs().display()));
        shell.output().expect("start a shell")
    }

    /// Runs a step. A query is repeated until its output has the lines of the guide: links need a
    /// moment.
    fn execute(&self, step: &Step) {
        let finds = step.command.starts_with("teamrctl doctor");
        let check = |output: &Output| {
            let status = output.status.code();
            assert!(
                status == Some(0) || finds && status == Some(2),
                "{}: {status:?} {}{}",
                step.command,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        };
        if step.shown.is_empty() {
            check(&self.run(&step.command));
            return;
        }
        let mut last = String::new();
        wait_until(&format!("`{}` to print what the guide shows", step.command), || {
            let output = self.run(&step.command);
            check(&output);
            last = String::from_utf8_lossy(&output.stdout).into_owned();
            let has = |line: &String| last.lines().any(|found| signature(found) == signature(line));
            let done = step.shown.iter().all(has);
            if !done {
                std::thread::sleep(Duration::from_millis(50));
            }
            done
        });
    }
}

/// Returns the words of a line that do not change from run to run: a number counts as 0, and a port
/// of a table has its name and its role.
fn signature(line: &str) -> Vec<String> {
    /// Lines about the machine: their label alone counts.
    const LABELS: [&str; 4] = ["data", "device", "failovers", "rate"];
    const ROLES: [&str; 5] = ["active", "backup", "designated", "carries", "out"];
    let is_table = line.contains("bit/s");
    let label = line.split_whitespace().next().filter(|word| LABELS.contains(word));
    if let Some(label) = label {
        return vec![label.to_owned()];
    }
    let words = line.split_whitespace().enumerate();
    let words = words.filter(|(place, word)| !is_table || *place == 0 || ROLES.contains(word));
    let is_number = |word: &str| {
        let word = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        word.parse::<f64>().is_ok()
    };
    words.map(|(_, word)| if is_number(word) { "0".to_owned() } else { word.to_owned() }).collect()
}

fn write_configurations(blocks: &[Block], folder: &Path) {
    for block in blocks {
        if let Some(name) = block.kind.strip_prefix("json ") {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
            fs::write(path, block.lines.join("\n")).expect("write a configuration");
        }
    }
}

#[test]
fn the_blocks_of_the_guides_work() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let guides = fs::read_dir(repository().join("docs/guides")).expect("the guides");
    let mut guides: Vec<PathBuf> = guides.map(|guide| guide.expect("a guide").path()).collect();
    guides.push(repository().join("README.md"));
    guides.sort();
    let mut count = 0;
    for guide in guides {
        let blocks = blocks(&fs::read_to_string(&guide).expect("a guide"));
        if !blocks.iter().any(|block| block.kind == "console lab") {
            continue;
        }
        println!("{}", guide.display());
        let folder = lab.folder().join(guide.file_stem().expect("a name"));
        write_configurations(&blocks, &folder);
        let site = Site::new(&lab, CableKind::Virtual);
        site.plug_unaggregated();
        site.right.address("eth1", "192.0.2.1/24");
        let host = Host { host: site.left.clone(), folder };
        for block in blocks.iter().filter(|block| block.kind == "console lab") {
            for step in steps(block) {
                println!("# {}", step.command);
                host.execute(&step);
                count += 1;
            }
        }
        let teamr = binary("teamr");
        host.run(&format!("{0} -e -t team0 && {0} -k -t team0", teamr.display()));
    }
    assert!(count > 40, "{count}");
}
