//! The example `aqsum`, as a program: its output beside that of coreutils, its exit statuses, its signals.
#![cfg(target_os = "linux")]

mod program;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::LazyLock;

/// The program.
static AQSUM: LazyLock<PathBuf> = LazyLock::new(|| program::example("aqsum"));

/// The sum of `hello\n`.
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// Whether there is something to compare with. Without it a test says so, and proves less.
fn coreutils() -> bool {
    let there = Command::new("sha256sum").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: there is no sha256sum on this machine to compare with");
    }
    there
}

/// Where the commands of a test run.
struct Place(program::Place);

impl Place {
    fn new(test: &str) -> Self {
        Self(program::Place::new(&format!("aqsum-{test}")))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a name in the place")).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }

    fn aqsum<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.command(&*AQSUM).args(args).output().unwrap()
    }

    /// What coreutils prints for each path in turn.
    fn reference(&self, paths: &[&str]) -> Vec<u8> {
        let script =
            r#"for path; do find "$path" -type f -print0 | sort -z | xargs -0r sha256sum; done"#;
        self.command("sh").args(["-c", script, "sh"]).args(paths).output().unwrap().stdout
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A source of numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A tree with all that makes names and files odd.
fn odd_tree(place: &Place) {
    let names: [&[u8]; 16] = [
        b"plain",
        b"empty",
        b"with space",
        b" leading",
        b"-dash",
        b"new\nline",
        b"back\\slash",
        b"carriage\rreturn",
        b"tab\t",
        b"\\",
        b"\n",
        b"not utf-8 \xff\xfe",
        b"\xc3\xa4",
        b"*",
        b"\x7f",
        b".hidden",
    ];
    for name in names {
        let content = if name == b"empty" { b"" } else { name };
        let name = OsString::from_vec(name.to_vec());
        place.write(Path::new("tree").join(&name), content);
        place.write(Path::new("tree/sub").join(&name).join("deeper"), "x");
    }
    // Neighbours that sort otherwise as names than as the beginnings of paths.
    for name in ["d/inner", "d-x", "d.x/inner", "d0"] {
        place.write(Path::new("tree/order").join(name), "y");
    }
    place.write("tree/large", vec![b'l'; 3 << 20 | 17]);
    place.write("tree/block", vec![b'b'; 128 * 1024]);
    symlink("plain", place.path("tree/link to file")).unwrap();
    symlink("sub", place.path("tree/link to directory")).unwrap();
    symlink("nowhere", place.path("tree/dangling")).unwrap();
    fs::create_dir(place.path("tree/nothing in it")).unwrap();
}

#[test]
fn the_output_is_that_of_coreutils() {
    if !coreutils() {
        return;
    }
    let place = Place::new("output");
    odd_tree(&place);
    let paths: &[&[&str]] = &[
        &["tree"],
        &["tree/"],
        &["tree//"],
        &["./tree/../tree"],
        &["."],
        &["tree/order", "tree/large", "tree/order", "tree/new\nline"],
        &["tree/link to directory/"],
        &["tree/nothing in it"],
    ];
    for paths in paths {
        let expected = place.reference(paths);
        for jobs in ["1", "2", "8", "32", "auto"] {
            let output = place.aqsum([&["--jobs", jobs, "--"], *paths].concat());
            assert_eq!(text(&output.stdout), text(&expected), "--jobs {jobs} {paths:?}");
            assert_eq!(output.stdout, expected);
            assert_eq!(text(&output.stderr), "");
            assert_eq!(output.status.code(), Some(0));
        }
    }
}

#[test]
fn random_trees_come_in_the_order_of_their_full_names() {
    if !coreutils() {
        return;
    }
    let place = Place::new("order");
    let mut numbers = Numbers(7);
    // Few letters, so that names share beginnings, on both sides of the slash (0x2f).
    let letters = b"ab.-0 \n\\\xff";
    for _ in 0..400 {
        let mut name = PathBuf::from("tree");
        for _ in 0..=numbers.below(4) {
            let length = 1 + numbers.below(3);
            let part: Vec<_> = (0..length).map(|_| letters[numbers.below(letters.len())]).collect();
            if part != b"." && part != b".." {
                name.push(OsString::from_vec(part));
            }
        }
        // Left out: a name that a directory has, and one below a name that a file has.
        let path = place.path(&name);
        let parent = path.parent().unwrap();
        if fs::create_dir_all(parent).is_ok() && !path.is_dir() {
            fs::write(&path, name.as_os_str().as_encoded_bytes()).unwrap();
        }
    }
    let expected = place.reference(&["tree"]);
    assert!(expected.iter().filter(|&&byte| byte == b'\n').count() > 100);
    for jobs in ["1", "8"] {
        let output = place.aqsum(["--jobs", jobs, "tree"]);
        assert_eq!(text(&output.stdout), text(&expected));
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_hashed() {
    let place = Place::new("errors");
    place.write("a/1", "1");
    place.write("b/2", "2");
    symlink("nowhere", place.path("dangling")).unwrap();
    let run = |on_error| {
        // Reading one's own memory from its beginning is an error for everybody, root included.
        let paths = ["a", "missing", "dangling", "/proc/self/mem", "b"];
        place.aqsum([&["--jobs", "2", "--on-error", on_error], &paths[..]].concat())
    };
    let a = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b  a/1\n";
    let b = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35  b/2\n";

    let output = run("collect");
    assert_eq!(text(&output.stdout), [a, b].concat());
    let mut errors: Vec<_> = text(&output.stderr).lines().map(String::from).collect();
    errors.sort();
    assert_eq!(
        errors,
        [
            "aqsum: /proc/self/mem: Input/output error",
            "aqsum: dangling: Neither a regular file nor a directory",
            "aqsum: missing: No such file or directory",
        ]
    );
    assert_eq!(output.status.code(), Some(1));

    let output = run("stop");
    assert_eq!(text(&output.stdout), a);
    assert_eq!(text(&output.stderr), "aqsum: missing: No such file or directory\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_wrong_command_line_is_status_2() {
    let place = Place::new("usage");
    let wrong: [&[&str]; 7] = [
        &[],
        &["--jobs", "0", "."],
        &["--jobs", "many", "."],
        &["--jobs", "1000000", "."],
        &["--on-error", "retry", "."],
        &["--check", "list", "."],
        &["--unknown"],
    ];
    for args in wrong {
        let output = place.aqsum(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "");
        assert!(text(&output.stderr).contains("error: "), "{args:?}");
    }
}

#[test]
fn stats_add_up_on_standard_error() {
    let place = Place::new("stats");
    for number in 0..20 {
        place.write(format!("tree/{number}"), number.to_string());
    }
    let output = place.aqsum(["--jobs", "3", "--stats", "tree", "missing"]);
    let stats = text(&output.stderr);
    assert!(stats.contains("source x1: 21 in, 21 out, 0 failed, 0 cancelled"), "{stats}");
    assert!(stats.contains("hash x3: 21 in, 20 out, 1 failed, 0 cancelled"), "{stats}");
    assert!(stats.contains("output: 20 written, 0 dropped"), "{stats}");
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 20);
}

/// Runs both programs over a list, and compares all that they say.
fn compare_checks(place: &Place, list: &[u8]) {
    place.write("list", list);
    let run = |program: &OsStr, from_stdin: bool, jobs: &[&str]| {
        let mut command = place.command(program);
        command.args(jobs).arg("--check");
        if from_stdin {
            command.arg("-").stdin(File::open(place.path("list")).unwrap());
        } else {
            command.arg("list");
        }
        command.output().unwrap()
    };
    for from_stdin in [false, true] {
        let expected = run("sha256sum".as_ref(), from_stdin, &[]);
        for jobs in ["1", "8"] {
            let output = run(AQSUM.as_ref(), from_stdin, &["--jobs", jobs]);
            let list = text(list);
            let (ours, theirs) = (text(&output.stdout), text(&expected.stdout));
            assert_eq!(unmarked(&ours), unmarked(&theirs), "{list}");
            // The reasons; in front of them each program has its name, and its way to quote those of files.
            let reasons = |stderr: &[u8]| -> Vec<String> {
                text(stderr)
                    .lines()
                    .filter_map(|line| line.rsplit(": ").next().map(String::from))
                    .collect()
            };
            assert_eq!(reasons(&output.stderr), reasons(&expected.stderr), "{list}");
            assert_eq!(output.status.code(), expected.status.code(), "{list}");
        }
    }
}

/// What is printed about a name with a backslash or a carriage return: `sha256sum --check` of coreutils 9.1 escapes
/// them only if there is a newline too, later ones always. This makes them the same.
fn unmarked(output: &str) -> String {
    let unmark = |line: &str| match line.strip_prefix('\\') {
        Some(line) if !line.contains("\\n") => line.replace("\\\\", "\\").replace("\\r", "\r"),
        _ => line.to_string(),
    };
    output.split('\n').map(unmark).collect::<Vec<_>>().join("\n")
}

#[test]
fn checking_says_what_coreutils_says() {
    if !coreutils() {
        return;
    }
    let place = Place::new("check");
    odd_tree(&place);
    compare_checks(&place, &place.reference(&["tree"]));

    let other = "0".repeat(64);
    for name in ["file", " file", "*file", "a) = b"] {
        place.write(name, "hello\n");
    }
    let lines = [
        format!("{HELLO}  file"),
        format!("{HELLO} *file"),
        format!("  {HELLO}  file"),
        format!("{}  file", HELLO.to_uppercase()),
        format!("{other}  file"),
        format!("{HELLO}  missing"),
        format!("{HELLO}  tree"),
        format!("{HELLO}   file"),
        format!("{HELLO}  *file"),
        format!("{HELLO}\t file"),
        format!("{HELLO}  file\r"),
        format!("SHA256 (file) = {HELLO}"),
        format!("SHA256(file)= {HELLO}"),
        format!("SHA256 (a) = b) = {HELLO}"),
        format!("SHA256 (file) = {other}"),
        format!("\\SHA256 (tree/new\\nline) = {HELLO}"),
        format!("\\{HELLO}  tree/new\\nline"),
        format!("\\{HELLO}  tree/new\\xline"),
        format!("\\{HELLO}  ends with \\"),
        format!("# {HELLO}  file"),
        String::new(),
        "rubbish".into(),
        HELLO.into(),
        format!("{HELLO} "),
        format!("{HELLO}  "),
        format!("{HELLO}file"),
        format!("{}  file", &HELLO[1..]),
        format!("SHA512 (file) = {HELLO}"),
        format!("MD5 (file) = {HELLO}"),
        format!("x{HELLO}  file"),
    ];
    // One by one, since one line may change how the next is read; then all together.
    for line in &lines {
        compare_checks(&place, format!("{line}\n").as_bytes());
    }
    compare_checks(&place, lines.join("\n").as_bytes());
    // The format of old BSDs, with one space, which does not go together with the other.
    compare_checks(&place, format!("{HELLO} file\n{HELLO}  file\n{HELLO} file").as_bytes());
    compare_checks(&place, format!("{HELLO}  file\n{HELLO} file").as_bytes());
    compare_checks(&place, b"");
}

#[test]
fn checking_damaged_lists_says_what_coreutils_says() {
    if !coreutils() {
        return;
    }
    let place = Place::new("damage");
    place.write("f", "hello\n");
    place.write("g\nh", "hello\n");
    let lines = [
        format!("{HELLO}  f"),
        format!("{HELLO} *f"),
        format!("\\{HELLO}  g\\nh"),
        format!("SHA256 (f) = {HELLO}"),
        format!("\\SHA256 (g\\nh) = {HELLO}"),
    ];
    let damage = b" \t*\\()=fgh0#\rnSH";
    let mut numbers = Numbers(11);
    for _ in 0..60 {
        let mut list = Vec::new();
        for _ in 0..=numbers.below(6) {
            let mut line = lines[numbers.below(lines.len())].clone().into_bytes();
            for _ in 0..numbers.below(3) {
                // Where it matters: at the ends of the line and of the sum.
                let at = match numbers.below(3) {
                    0 => numbers.below(12),
                    1 => line.len() - 1 - numbers.below(5),
                    _ => (62 + numbers.below(6)).min(line.len() - 1),
                };
                let byte = damage[numbers.below(damage.len())];
                match numbers.below(3) {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    _ => drop(line.remove(at)),
                }
            }
            list.extend(line);
            list.push(b'\n');
        }
        compare_checks(&place, &list);
    }
}

#[test]
fn checking_can_stop_at_the_first_failure() {
    let place = Place::new("check-stop");
    place.write("file", "hello\n");
    let bad = "0".repeat(64);
    place.write("list", format!("{HELLO}  file\n{bad}  file\n{HELLO}  file\n"));
    let output = place.aqsum(["--on-error", "stop", "--check", "list"]);
    assert_eq!(text(&output.stdout), "file: OK\nfile: FAILED\n");
    assert_eq!(output.status.code(), Some(1));
    let output = place.aqsum(["--check", "no such list"]);
    assert_eq!(text(&output.stderr), "aqsum: no such list: No such file or directory\n");
    assert_eq!(output.status.code(), Some(1));
}

/// A line without an end costs no memory, and is no line.
#[test]
fn an_endless_line_is_malformed() {
    let place = Place::new("endless");
    let mut list = vec![b'0'; 10 << 20];
    list.extend(format!("\n{HELLO}  file\n").as_bytes());
    place.write("file", "hello\n");
    place.write("list", list);
    let output = place.aqsum(["--check", "list"]);
    assert_eq!(text(&output.stdout), "file: OK\n");
    assert_eq!(text(&output.stderr), "aqsum: WARNING: 1 line is improperly formatted\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_output_that_ends_early_is_no_news() {
    let place = Place::new("pipe");
    place.write("file", "x");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.command(&*AQSUM).arg(".").stdout(writer).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));

    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&*AQSUM).arg(".").stdout(full).output().unwrap();
    assert_eq!(text(&output.stderr), "aqsum: write error: No space left on device\n");
    assert_eq!(output.status.code(), Some(1));
}

/// A run of `aqsum --check -` that waits: for more of its list, and for a named pipe that the list names.
struct Waiting {
    child: Child,
    messages: BufReader<ChildStderr>,
    /// The writing end of the named pipe.
    pipe: File,
}

impl Waiting {
    fn new(place: &Place) -> Self {
        place.write("file", "hello\n");
        assert!(place.command("mkfifo").arg("pipe").status().unwrap().success());
        let mut child = place
            .command(&*AQSUM)
            .args(["--jobs", "2", "--check", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let list = child.stdin.as_mut().unwrap();
        write!(list, "{HELLO}  file\n{HELLO}  pipe\n{HELLO}  file\n").unwrap();
        // Opens when the other end does: then a worker is at it, and the handler is there.
        let pipe = OpenOptions::new().write(true).open(place.path("pipe")).unwrap();
        let messages = BufReader::new(child.stderr.take().unwrap());
        Self { child, messages, pipe }
    }

    fn press_ctrl_c(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    fn expect_message(&mut self, expected: &str) {
        let mut message = String::new();
        self.messages.read_line(&mut message).unwrap();
        assert_eq!(message, format!("aqsum: {expected}\n"));
    }

    /// Ends the list and the pipe. The exit status, and the output.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        drop(self.pipe);
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        (self.child.wait().unwrap().code(), output)
    }
}

const FINISHING: &str = "finishing what is in flight; once more to drop it";
const DROPPING: &str = "dropping what is in flight";

#[test]
fn one_ctrl_c_finishes_what_is_in_flight() {
    let place = Place::new("drain");
    let mut waiting = Waiting::new(&place);
    waiting.press_ctrl_c();
    waiting.expect_message(FINISHING);
    waiting.pipe.write_all(b"hello\n").unwrap();
    // The source waits for a line: that one may still come in, and no other.
    let list = waiting.child.stdin.as_mut().unwrap();
    write!(list, "{HELLO}  file\n{HELLO}  too late\n").unwrap();
    let (status, output) = waiting.end();
    assert_eq!(output, "file: OK\npipe: OK\nfile: OK\nfile: OK\n");
    assert_eq!(status, Some(130));
}

#[test]
fn a_second_ctrl_c_drops_it() {
    let place = Place::new("abort");
    let mut waiting = Waiting::new(&place);
    waiting.press_ctrl_c();
    waiting.expect_message(FINISHING);
    waiting.press_ctrl_c();
    waiting.expect_message(DROPPING);
    let (status, output) = waiting.end();
    assert!(!output.contains("pipe"), "{output}");
    assert!(output.is_empty() || output.ends_with('\n'), "{output}");
    assert_eq!(status, Some(130));
}

#[test]
fn a_third_ctrl_c_waits_for_nothing() {
    let place = Place::new("kill");
    let mut waiting = Waiting::new(&place);
    waiting.press_ctrl_c();
    waiting.expect_message(FINISHING);
    waiting.press_ctrl_c();
    waiting.expect_message(DROPPING);
    waiting.press_ctrl_c();
    // With the list and the pipe still open.
    assert_eq!(waiting.child.wait().unwrap().code(), Some(130));
}
