//! Every command line of the README, the guides and the manual runs on a host with two cables into a switch, and
//! prints the lines that the page shows.
//!
//! The switch has a second host at 192.0.2.1. `/etc/teamr` and other folders stand for folders of the test. A line
//! that cannot run there, or needs a preparation, has an entry with its reason in `exceptions`; so has a block that
//! is neither commands nor a configuration.

mod exceptions;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use exceptions::{EXCEPTIONS, Exception, OTHER_BLOCKS, Way};
use integration::{
    CableKind, DataPath, Lab, Namespace, Sharing, Site, Teamr, binary, repository, team_config,
    wait_until,
};
use serde_json::json;

/// A block of a page: what stands behind its fence, and its lines.
struct Block {
    kind: String,
    lines: Vec<String>,
}

/// Returns the blocks of a page in Markdown.
fn blocks_of_markdown(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body = lines.by_ref().take_while(|line| *line != "```");
            let prompt = if kind == "sh" { "# " } else { "" };
            let kind = if kind == "sh" { "console" } else { kind };
            let body = body.map(|line| format!("{prompt}{line}"));
            blocks.push(Block { kind: kind.to_owned(), lines: body.collect() });
        }
    }
    blocks
}

/// Returns the displays of a page of the manual. A display of commands begins with the name of a program.
fn blocks_of_manual(page: &str) -> Vec<Block> {
    const PROGRAMS: [&str; 6] = ["teamr", "teamrctl", "teamrnl", "ip", "cp", "systemctl"];
    let block = |lines: Vec<&str>| {
        let first = lines.first().copied().unwrap_or_default();
        let (kind, prompt) = match first.split(' ').next() {
            Some("{") => ("json team0.json", ""),
            Some(word) if PROGRAMS.contains(&word) => ("console", "# "),
            _ => ("text", ""),
        };
        let lines = lines.iter().map(|line| format!("{prompt}{line}")).collect();
        Block { kind: kind.to_owned(), lines }
    };
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with(".Bd") {
            blocks.push(block(lines.by_ref().take_while(|line| *line != ".Ed").collect()));
        } else if let Some(line) = line.strip_prefix(".Dl ") {
            blocks.push(block(vec![line]));
        }
    }
    blocks
}

/// A page with its blocks.
struct Page {
    name: String,
    blocks: Vec<Block>,
}

/// Returns the README, the guides and the manual.
fn pages() -> Vec<Page> {
    let files = |folder: &str| {
        let files = fs::read_dir(repository().join(folder)).expect("a folder");
        files.map(|file| file.expect("a page").path()).collect::<Vec<PathBuf>>()
    };
    let mut paths = [files("docs/guides"), files("man")].concat();
    paths.sort();
    paths.push(repository().join("README.md"));
    let page = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a page");
        let is_markdown = path.extension().is_some_and(|extension| extension == "md");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        // Two pages have this name.
        let is_list = name == "README.md" && path.parent() != Some(repository());
        Page {
            name: if is_list { "guides/README.md".to_owned() } else { name.to_owned() },
            blocks: match is_markdown {
                true => blocks_of_markdown(&text),
                false => blocks_of_manual(&text),
            },
        }
    };
    paths.iter().map(page).collect()
}

/// A command line with the lines that a page shows below.
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

/// Returns the exception for a line of a page.
fn exception(page: &str, line: &str) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|entry| (entry.page == "*" || entry.page == page) && entry.line == line)
}

/// A host with the configurations of a guide.
struct Host {
    host: Namespace,
    folder: PathBuf,
}

impl Host {
    /// Makes a host with the configurations of a page, or with a team of two ports.
    fn new(lab: &Lab, site: &Site, page: &Page) -> Host {
        let folder = lab.folder().join(&page.name);
        write_configurations(&page.blocks, &folder.join("teamr"));
        let default = folder.join("teamr/team0.json");
        let has_file = page.blocks.iter().any(|block| block.kind.starts_with("json "));
        if !has_file {
            fs::create_dir_all(folder.join("teamr")).expect("make a folder");
            let runner = if is_about_lacp(page) { "lacp" } else { "activebackup" };
            let config = json!({"device": "team0", "runner": {"name": runner}, "ports": {"eth1": {}, "eth2": {}}});
            fs::write(default, config.to_string()).expect("write a configuration");
        }
        // The names of the package.
        let names = ["teamr", "teamrctl", "teamrnl"].into_iter().map(|name| (name, name));
        let links = [("teamd", "teamr"), ("teamdctl", "teamrctl"), ("teamnl", "teamrnl")];
        fs::create_dir_all(folder.join("bin")).expect("make a folder");
        for (name, program) in names.chain(links) {
            symlink(binary(program), folder.join("bin").join(name)).expect("link a program");
        }
        Host { host: site.left.clone(), folder }
    }

    fn run(&self, command: &str) -> Output {
        const FOLDERS: [&str; 3] = ["/etc/teamr", "/srv", "/var/lib/node_exporter"];
        let mut line = command.to_owned();
        for folder in FOLDERS {
            let name = folder.rsplit('/').next().expect("a name");
            let own = self.folder.join(name);
            fs::create_dir_all(&own).expect("make a folder");
            line = line.replace(folder, own.to_str().expect("a path in UTF-8"));
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = self.host.command("sh");
        shell.args(["-c", &line]).current_dir(&self.folder);
        shell.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        shell.output().expect("start a shell")
    }

    /// Runs a step. A query is repeated until its output has the lines of the guide: links need a
    /// moment.
    fn execute(&self, step: &Step) {
        // Status 2: the doctor has found something, or a setting has no equivalent.
        let finds = ["doctor", "import", "export"];
        let finds = finds.iter().any(|verb| step.command.starts_with(&format!("teamrctl {verb}")));
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

/// Pages about a team that runs already.
const WITH_TEAM: [&str; 6] =
    ["from-teamd.md", "monitoring.md", "removal.md", "security.md", "teamrctl.8", "upgrades.md"];

fn is_about_lacp(page: &Page) -> bool {
    let mut lines = page.blocks.iter().flat_map(|block| &block.lines);
    lines.any(|line| line.contains(r#""name": "lacp","#) || line.contains("macsec_gate"))
}

/// Connects the host to a plain switch or, for a page about LACP, to an LACP aggregate.
fn plug(site: &Site, page: &Page) -> Option<Teamr> {
    if !is_about_lacp(page) {
        site.plug_unaggregated();
        return None;
    }
    let config = team_config("lag0", "lacp", DataPath::Userspace, &["left1", "left2"]);
    let partner = Teamr::start(site.switch.namespace(), &config);
    site.switch.plug("lag0");
    Some(partner)
}

/// Runs the command lines of a page. Returns their number.
fn run_page(lab: &Lab, page: &Page) -> usize {
    println!("{}", page.name);
    let site = Site::new(lab, CableKind::Virtual);
    let partner = plug(&site, page);
    site.right.address("eth1", "192.0.2.1/24");
    let host = Host::new(lab, &site, page);
    let run = |command: &str| {
        println!("# {command}");
        host.execute(&Step { command: command.to_owned(), shown: Vec::new() });
    };
    if WITH_TEAM.contains(&&*page.name) {
        run("teamr -d -f /etc/teamr/team0.json && ip link set team0 up");
    }
    let mut count = 0;
    for step in page.blocks.iter().filter(|block| block.kind == "console").flat_map(steps) {
        match exception(&page.name, &step.command).map(|entry| &entry.way) {
            Some(Way::Omit(_)) => continue,
            Some(Way::Instead(command)) => run(command),
            Some(Way::After(command)) => {
                run(command);
                host.execute(&step);
            }
            None => {
                println!("# {}", step.command);
                host.execute(&step);
            }
        }
        count += 1;
    }
    host.run("for team in team0 team1; do teamr -e -t $team && teamr -k -t $team; done; teamr -k -f /etc/teamr");
    drop(partner);
    count
}

#[test]
fn the_command_lines_of_the_pages_work() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let has_commands = |page: &&Page| page.blocks.iter().any(|block| block.kind == "console");
    let pages = pages();
    let count: usize = pages.iter().filter(has_commands).map(|page| run_page(&lab, page)).sum();
    assert!(count > 100, "{count}");
}

/// A block that no test checks, and an entry for a line that no page has, are mistakes.
#[test]
fn every_block_is_run_or_has_a_reason() {
    let mut used = BTreeSet::new();
    for page in pages() {
        for block in &page.blocks {
            let first = block.lines.first().map_or("", String::as_str);
            let kind = block.kind.split(' ').next().unwrap_or_default();
            let place = OTHER_BLOCKS
                .iter()
                .position(|(name, line, _)| *name == page.name && *line == first);
            match (kind, place) {
                ("console", _) => {
                    let steps = steps(block);
                    let lines = steps.iter().map(|step| (page.name.clone(), step.command.clone()));
                    used.extend(lines);
                }
                ("json", None) => assert!(block.kind.contains(' '), "{}: {first}", page.name),
                (_, Some(_)) => {
                    used.insert((page.name.clone(), first.to_owned()));
                }
                _ => panic!("{}: no test checks the block \"{first}\"", page.name),
            }
        }
    }
    let is_used = |page: &str, line: &str| {
        used.iter().any(|(name, used)| (page == "*" || page == name) && used == line)
    };
    for Exception { page, line, way } in EXCEPTIONS {
        assert!(is_used(page, line), "{page} has no line \"{line}\"");
        let (Way::Omit(text) | Way::Instead(text) | Way::After(text)) = way;
        assert!(!text.is_empty());
    }
    for (page, line, reason) in OTHER_BLOCKS {
        assert!(is_used(page, line) && !reason.is_empty(), "{page} has no block \"{line}\"");
    }
}
