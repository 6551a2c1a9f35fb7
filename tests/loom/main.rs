//! See `ci/loom`.
#![cfg(aqueduct_loom)]
