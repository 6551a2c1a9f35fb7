//! See `CONTRIBUTING.md`.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
