//! `aqsum PATH...` beside `find | sort | sha256sum`.

use super::{Numbers, Place, coreutils, odd_tree, text};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

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
