//! Blocks of bytes, in and out.

use aqueduct::io::{self, OrderedWriter};
use aqueduct::iter::ParallelIterator;
use aqueduct::pipeline::Pipeline;
use aqueduct::thread;
use std::io::{Error, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};

/// Reads a few bytes at a time, is interrupted in between, and fails in the end if it is to.
struct Odd<'a> {
    bytes: &'a [u8],
    turn: usize,
    fails: bool,
}

impl Read for Odd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.bytes.is_empty() && self.fails {
            return Err(Error::other("the disk is gone"));
        }
        let count = buffer.len().min(1 + self.turn % 5);
        self.bytes.read(&mut buffer[..count])
    }
}

/// Blocks are full but for the last; an error comes after what was read before it, once.
#[test]
fn blocks_are_full_and_errors_come_last() {
    let data: Vec<u8> = (0..100).collect();
    for fails in [false, true] {
        for (size, blocks) in [(1, 100), (7, 15), (50, 2), (100, 1), (1000, 1)] {
            let reader = Odd { bytes: &data, turn: 0, fails };
            let mut read: Vec<_> = io::blocks(reader, size).collect();
            if fails {
                let error = read.pop().unwrap().unwrap_err();
                assert_eq!(error.to_string(), "the disk is gone");
            }
            let read: Vec<_> = read.into_iter().map(|block| block.unwrap().into_vec()).collect();
            assert_eq!((read.len(), read.concat()), (blocks, data.clone()));
            assert!(read.iter().rev().skip(1).all(|block| block.len() == size));
        }
    }
    assert_eq!(io::blocks(&[][..], 4).count(), 0);
}

/// Buffers are used again, from whatever thread they come back.
#[test]
fn buffers_are_used_again() {
    let data = [7; 1000];
    let mut blocks = io::blocks(&data[..], 10).keep(2);
    let first = blocks.next().unwrap().unwrap();
    let place = first.as_ptr().addr();
    thread::spawn(move || drop(first)).unwrap().join().unwrap();
    assert_eq!(blocks.next().unwrap().unwrap().as_ptr().addr(), place);
    let kept = blocks.by_ref().take(5).collect::<Result<Vec<_>, _>>().unwrap();
    drop(kept);
    assert!(format!("{blocks:?}").contains("kept: 2"));
}

/// Through a pipeline, and through a parallel map, into a writer that wants them in order.
#[test]
fn blocks_go_through_pipelines_and_maps() {
    let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let mut out = Vec::new();
    Pipeline::from_iter(io::blocks(&data[..], 64))
        .stage("invert", |block: std::io::Result<io::Block>| {
            block.map(|mut block| {
                block.iter_mut().for_each(|byte| *byte = !*byte);
                block
            })
        })
        .concurrency(3)
        .ordered(16)
        .run(|block| out.extend_from_slice(&block))
        .unwrap();
    let expected: Vec<u8> = data.iter().map(|byte| !byte).collect();
    assert!(out == expected);

    let inverted = io::blocks(&data[..], 64).par_map_ordered(3, |block| {
        block.map(|block| block.iter().map(|byte| !byte).collect::<Vec<u8>>())
    });
    assert!(inverted.collect::<Result<Vec<_>, _>>().unwrap().concat() == expected);
}

/// Whoever brings the blocks, and in whatever order: they are written in theirs, and never more than the window waits.
#[test]
fn an_ordered_writer_writes_in_order() {
    for (window, parties) in [(1, 1), (1, 4), (3, 4), (100, 2)] {
        let writer = OrderedWriter::new(Vec::new(), window);
        let next = Mutex::new(0..500_u64);
        thread::scope(|scope| {
            let bring = || {
                loop {
                    let Some(number) = next.lock().unwrap().next() else { return };
                    writer.put(number, number.to_le_bytes()).unwrap();
                }
            };
            (0..parties).for_each(|_| drop(scope.spawn(bring).unwrap()));
        })
        .unwrap();
        let expected: Vec<u8> = (0..500_u64).flat_map(u64::to_le_bytes).collect();
        assert!(writer.finish().unwrap() == expected);
    }
    let writer = OrderedWriter::new(Vec::new(), 4);
    for number in [2, 0, 3] {
        writer.put(number, [number as u8]).unwrap();
    }
    assert_eq!(writer.put(0, [9]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(writer.put(3, [9]).unwrap_err().kind(), ErrorKind::InvalidInput);
    let missing = writer.finish().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(missing.to_string(), "block 1 is missing");
}

/// Fails, or panics, at the byte 3; says what it has written.
struct FailsAtThree {
    written: Arc<Mutex<Vec<u8>>>,
    panics: bool,
}

impl Write for FailsAtThree {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match bytes {
            [3, ..] if self.panics => panic!("on purpose"),
            [3, ..] => return Err(ErrorKind::StorageFull.into()),
            _ => self.written.lock().unwrap().extend(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A writer that fails, or panics, fails for all: nobody waits for a turn that will not come, and nothing is written behind the gap.
#[test]
fn a_writer_that_fails_fails_for_all() {
    for panics in [false, true] {
        let written = Arc::default();
        let writer = FailsAtThree { written: Arc::clone(&written), panics };
        let writer = OrderedWriter::new(writer, 4);
        let next = Mutex::new(0..100_u8);
        let told = thread::scope(|scope| {
            let bring = || {
                loop {
                    let Some(number) = next.lock().unwrap().next() else { return false };
                    if writer.put(u64::from(number), [number]).is_err() {
                        return true;
                    }
                }
            };
            let parties = [(); 4].map(|()| scope.spawn(bring).unwrap());
            parties.map(|party| party.join().unwrap_or(true))
        });
        assert_eq!(told.unwrap(), [true; 4], "each is told");
        assert!(writer.finish().is_err());
        assert_eq!(*written.lock().unwrap(), [0, 1, 2]);
    }
}

/// What it had read is lost: so nothing may follow, as if it had not been there.
#[test]
fn blocks_end_where_a_read_panics() {
    struct Panics(usize);

    impl Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            assert!(self.0 != 2, "on purpose");
            buffer[..3].fill(7);
            Ok(3)
        }
    }

    let mut blocks = io::blocks(Panics(0), 4);
    assert!(thread::catch(|| blocks.next().is_some()).is_err());
    assert!(blocks.next().is_none());
}

/// Who gives up is heard by all, also by whoever is just writing; what was said first stands.
#[test]
fn who_cannot_bring_a_block_is_heard_by_all() {
    struct Held<'a>(&'a Barrier, Arc<AtomicUsize>);

    impl Write for Held<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.wait();
            self.0.wait();
            self.1.fetch_add(bytes.len(), SeqCst);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let (held, written) = (Barrier::new(2), Arc::default());
    let text = OrderedWriter::new(Held(&held, Arc::clone(&written)), 8);
    thread::scope(|scope| {
        let writes = scope.spawn(|| text.put(0, "first")).unwrap();
        held.wait();
        text.put(1, "second").unwrap();
        text.fail(Error::new(ErrorKind::NotFound, "no third"));
        text.fail(Error::other("too late"));
        held.wait();
        assert_eq!(writes.join().unwrap().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(text.put(3, "fourth").unwrap_err().to_string(), "no third");
    })
    .unwrap();
    assert_eq!(text.finish().map(drop).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(written.load(SeqCst), "first".len(), "nothing behind the failure");
}
