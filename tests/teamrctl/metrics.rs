//! `metrics file`.

use super::*;

/// Metrics neither replace nor follow a file of another kind.
#[test]
fn metrics_leave_other_files_alone() {
    let run_dir = RunDir::new("paths");
    run_dir.team("team0", ACTIVEBACKUP);
    let place = run_dir.dir.join("place");
    fs::create_dir(&place).unwrap();
    let path = |name: &str| place.join(name);
    fs::write(path("file"), "kept").unwrap();
    symlink(path("file"), path("link")).unwrap();
    fs::create_dir(path("directory")).unwrap();
    mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
    let _live = UnixListener::bind(path("socket")).unwrap();
    // Without the right to make a device, the test uses one that this user may not replace.
    let device = mknod(&path("device"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3))
        .map_or_else(|_| PathBuf::from("/dev/null"), |()| path("device"));
    let others = [
        (path("link"), "symbolic link"),
        (path("directory"), "directory"),
        (path("fifo"), "FIFO"),
        (device, "character device"),
    ];
    let inode = |path: &PathBuf| fs::symlink_metadata(path).unwrap().ino();

    let socket = (path("socket"), "socket");
    for (path, kind) in others.iter().chain([&socket]) {
        let before = inode(path);
        let name = path.to_str().unwrap();
        run_dir.teamrctl(&["metrics", "file", name]).fails(&format!(
            "Failed to write \"{name}\": the path is a {kind}, and only a regular file is \
             replaced; name another path.\n"
        ));
        assert_eq!(inode(path), before, "{name}");
    }
    let file = (path("file"), "regular file");
    for (path, kind) in others.iter().chain([&file]) {
        let before = inode(path);
        let name = path.to_str().unwrap();
        run_dir.teamrctl(&["metrics", "serve", name]).fails(&format!(
            "Failed to listen at \"{name}\": the path is a {kind}, and only a socket is replaced; \
             name another path.\n"
        ));
        assert_eq!(inode(path), before, "{name}");
    }
    let name = file.0.to_str().unwrap();
    run_dir.teamrctl(&["metrics", "file", name]).fails(&format!(
        "Failed to write \"{name}\": the file has other contents; remove the file, or name another \
         path.\n"
    ));
    let name = socket.0.to_str().unwrap();
    run_dir.teamrctl(&["metrics", "serve", name]).fails(&format!(
        "Failed to listen at \"{name}\": the socket is in use; end the process that serves it, or \
         name another path.\n"
    ));
    assert_eq!(fs::read(path("file")).unwrap(), b"kept");
}

#[test]
fn metrics_replace_a_file_in_one_step() {
    let run_dir = RunDir::new("file");
    run_dir.team("team0", ACTIVEBACKUP);
    let path = run_dir.dir.join("team0.prom");
    let name = path.to_str().unwrap();
    for _ in 0..2 {
        let before = fs::metadata(&path).map(|file| file.ino());
        run_dir.teamrctl(&["metrics", "file", name]).shows("");
        let after = fs::metadata(&path).unwrap().ino();
        assert!(before.is_err() || before.unwrap() != after);
        let text = fs::read_to_string(&path).unwrap();
        run_dir.teamrctl(&["metrics"]).shows(&text);
    }
    let names = fs::read_dir(&run_dir.dir).unwrap().count();
    assert_eq!(names, 2, "the socket and the file");
    // No user can make a file in /proc.
    let reason = "no file can be made in \"/proc\" (No such file or directory); name a directory \
                  that can be written to";
    let name = "/proc/team0";
    run_dir
        .teamrctl(&["metrics", "file", name])
        .fails(&format!("Failed to write \"{name}\": {reason}.\n"));
    run_dir
        .teamrctl(&["metrics", "serve", name])
        .fails(&format!("Failed to listen at \"{name}\": {reason}.\n"));
}
