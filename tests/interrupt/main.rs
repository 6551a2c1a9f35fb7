//! See `ci/interrupt`.
#![cfg(aqueduct_interrupt)]
