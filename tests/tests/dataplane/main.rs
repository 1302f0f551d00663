//! The owner of the data plane against a real kernel: what it adopts, changes, counts, rebuilds, attaches and removes.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it")]

mod adoption;
mod families;
mod fixture;
mod growth;
mod nics;
mod tables;
