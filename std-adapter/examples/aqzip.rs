//! Compresses a file on all cores, in order, at a bounded memory: read → deflate → write, as pigz does.
//!
//! ```text
//! aqzip FILE [LEVEL] > FILE.gz
//! ```
//!
//! Each block is compressed by itself, with the end of the one in front of it as its dictionary, and ends on a byte; so blocks that
//! are put in order again are one gzip member. Without a FILE it compresses itself, and looks whether that comes out again.

use aqueduct::pipeline::{Pipeline, Report};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::{env, thread};

/// Bytes of a block: enough that its start and end do not count, few enough for the L2 cache.
const BLOCK: usize = 128 * 1024;

/// How far deflate looks back, in bytes.
const DICTIONARY: usize = 32 * 1024;

struct Block {
    bytes: Vec<u8>,
    /// The end of the one in front of it.
    dictionary: Vec<u8>,
}

struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Compresses one block; what it returns ends on a byte, and is not the last of the stream.
fn deflate(level: Compression, block: &Block) -> Result<Deflated, Box<dyn Error + Send + Sync>> {
    let mut stream = Compress::new(level, false);
    if !block.dictionary.is_empty() {
        stream.set_dictionary(&block.dictionary)?;
    }
    let mut crc = Crc::new();
    crc.update(&block.bytes);
    let mut bytes = Vec::with_capacity(block.bytes.len() / 2 + 64);
    loop {
        let read = usize::try_from(stream.total_in())?;
        let status = stream.compress_vec(&block.bytes[read..], &mut bytes, FlushCompress::Sync)?;
        if bytes.len() < bytes.capacity() && stream.total_in() == block.bytes.len() as u64 {
            return Ok(Deflated { bytes, crc });
        }
        if status == Status::BufError || bytes.len() == bytes.capacity() {
            bytes.reserve(BLOCK / 4);
        }
    }
}

fn compress(
    mut input: impl Read + Send,
    mut output: impl Write,
    level: Compression,
) -> Result<Report, Box<dyn Error>> {
    let workers = thread::available_parallelism()?.get();
    // Deflate, no flags, no time, nothing special, a system that nobody knows.
    output.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
    let mut crc = Crc::new();
    let report = Pipeline::source(|out| {
        let mut dictionary = Vec::new();
        loop {
            let mut bytes = Vec::with_capacity(BLOCK);
            if input.by_ref().take(BLOCK as u64).read_to_end(&mut bytes)? == 0 {
                return Ok(());
            }
            let next = bytes[bytes.len().saturating_sub(DICTIONARY)..].to_vec();
            out.send(Block { bytes, dictionary: std::mem::replace(&mut dictionary, next) })?;
        }
    })
    .stage("deflate", |block: Block| deflate(level, &block))
    .concurrency(workers)
    .buffer(2 * workers)
    .ordered(8 * workers)
    .output_buffer(2 * workers)
    .try_run(|block| {
        crc.combine(&block.crc);
        output.write_all(&block.bytes)
    })?;
    // An empty last block, and what was compressed.
    output.write_all(&[3, 0])?;
    output.write_all(&crc.sum().to_le_bytes())?;
    output.write_all(&crc.amount().to_le_bytes())?;
    output.flush()?;
    Ok(report)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1);
    let Some(path) = args.next() else { return try_on_myself() };
    let level = match args.next() {
        Some(level) => level.to_str().and_then(|level| level.parse().ok()),
        None => Some(6),
    };
    let level = level.filter(|level| *level <= 9).ok_or("LEVEL is a number from 0 to 9")?;
    let output = BufWriter::with_capacity(BLOCK, io::stdout().lock());
    compress(File::open(path)?, output, Compression::new(level))?;
    Ok(())
}

fn try_on_myself() -> Result<(), Box<dyn Error>> {
    let path = env::current_exe()?;
    let mut compressed = Vec::new();
    let report = compress(File::open(&path)?, &mut compressed, Compression::fast())?;
    let mut again = Vec::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut again)?;
    assert!(std::fs::read(path)? == again, "what came out is not what went in");
    println!(
        "{} bytes in {} blocks became {}, and come out again",
        again.len(),
        report.delivered(),
        compressed.len()
    );
    Ok(())
}
