//! `aqsum --check` beside `sha256sum --check`.

use super::{AQSUM, HELLO, Numbers, Place, coreutils, odd_tree, text};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

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
    // What is no line of a list fails nothing: a signed list begins with such.
    place.write("signed", format!("-----BEGIN PGP SIGNED MESSAGE-----\n{HELLO}  file\n"));
    let output = place.aqsum(["--on-error", "stop", "--check", "signed"]);
    assert_eq!(text(&output.stdout), "file: OK\n");
    assert_eq!(output.status.code(), Some(0));
    place.write("signed", format!("{HELLO}  file\nrubbish\n{bad}  file\n{HELLO}  file\n"));
    let output = place.aqsum(["--on-error", "stop", "--check", "signed"]);
    assert_eq!(text(&output.stdout), "file: OK\nfile: FAILED\n");
    assert_eq!(output.status.code(), Some(1));
    let output = place.aqsum(["--check", "no such list"]);
    assert_eq!(text(&output.stderr), "aqsum: no such list: No such file or directory\n");
    assert_eq!(output.status.code(), Some(1));
}

/// A list that ends in an error is not one that ends, whatever was in it so far.
#[test]
fn a_list_that_cannot_be_read_has_failed() {
    let place = Place::new("unreadable-list");
    place.write("file", "hello\n");
    let output = place.aqsum(["--check", "."]);
    assert_eq!(text(&output.stderr), "aqsum: .: Is a directory\n");
    assert_eq!(output.status.code(), Some(1));

    // A connection whose other end goes with something unread is reset: behind the line that was sent.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stdin = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut list, _) = listener.accept().unwrap();
    stdin.write_all(b"unread").unwrap();
    assert_eq!(list.peek(&mut [0; 6]).unwrap(), 6, "it has arrived");
    writeln!(list, "{HELLO}  file").unwrap();
    drop(list);
    let mut command = place.command(&*AQSUM);
    command.args(["--check", "-"]).stdin(OwnedFd::from(stdin));
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "file: OK\n");
    assert_eq!(text(&output.stderr), "aqsum: 'standard input': Connection reset by peer\n");
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
