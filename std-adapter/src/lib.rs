//! Channels, contexts, threads and pipelines for std programs, on the lock-free core of aqueduct.
#![forbid(unsafe_code)]
