//! What happens to a run, and what is seen of it: signals, outputs that go away, a picture, a server's questions.

use super::{AQSUM, HELLO, Place, text};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

/// What is wrong with one file is nothing to the others, also where nobody can be told of it.
#[test]
fn messages_that_cannot_be_written_stop_nothing() {
    let place = Place::new("mute");
    place.write("file", "hello\n");
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for stderr in [Stdio::from(gone), Stdio::from(full)] {
        let mut command = place.command(&*AQSUM);
        let paths = ["--stats", "no such file", "file", "nor such a one", "file"];
        let output = command.args(paths).stdout(Stdio::piped()).stderr(stderr).output().unwrap();
        assert_eq!(text(&output.stdout), format!("{HELLO}  file\n").repeat(2));
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_run_can_be_drawn() {
    let place = Place::new("report");
    place.write("tree/file", "hello\n");
    let output = place.aqsum(["--report", "run.svg", "tree", "no such file"]);
    assert_eq!(text(&output.stdout), format!("{HELLO}  tree/file\n"));
    assert_eq!(output.status.code(), Some(1));
    let picture = fs::read_to_string(place.path("run.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    for shown in ["\nsource\n", "\nhash\n", "files in the queue", "<polyline "] {
        assert!(picture.contains(shown), "{shown}: {picture}");
    }
    // Told before anything is read.
    let output = place.aqsum(["--report", "no/such/place.svg", "tree"]);
    assert_eq!(text(&output.stderr), "aqsum: no/such/place.svg: No such file or directory\n");
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(1)));
}

#[test]
fn a_run_answers_prometheus_while_it_goes_on() {
    let place = Place::new("metrics");
    place.write("file", "hello\n");
    let mut child = place
        .command(&*AQSUM)
        .args(["--metrics", "127.0.0.1:0", "--check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
    let address = told.trim_end().strip_prefix("aqsum: metrics at http://").expect(&told);
    let address = address.strip_suffix("/metrics").expect(&told);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let page = ask("/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{page}");
    let workers =
        "aqueduct_pipeline_received_total{pipeline=\"aqsum\",stage=\"hash\",index=\"1\"} ";
    assert!(body.contains(workers), "{page}");
    assert!(ask("/else").starts_with("HTTP/1.1 404 "));
    // And it goes on.
    writeln!(child.stdin.take().unwrap(), "{HELLO}  file").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("file: OK\n", Some(0)));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let output = place.aqsum(["--metrics", &taken, "file"]);
    assert_eq!(text(&output.stderr), format!("aqsum: {taken}: Address already in use\n"));
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(1)));
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
    let behind = output.strip_prefix("file: OK\npipe: OK\n").unwrap_or_else(|| panic!("{output}"));
    // And the one in front of it may not have.
    assert!(["", "file: OK\n", "file: OK\nfile: OK\n"].contains(&behind), "{output}");
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
