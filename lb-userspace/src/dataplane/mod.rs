//! The data plane's owner: the only module that touches aya.
//!
//! [`DataPlane`] makes the maps and programs be what a [`Target`](crate::controller::target::Target) says. Everything it
//! knows is in the kernel, under [`pins`], so a controller that starts finds what the one before it left. [`View`] reads
//! the same maps for people, whether a controller runs or not.

mod blocks;
mod counters;
mod keys;
mod log;
mod maps;
mod nics;
pub mod object;
mod owner;
pub mod pins;
mod program;
pub mod sizing;
mod tables;
mod view;

pub use maps::OpenError;
pub use owner::{Adopted, AdoptedServer, AdoptedService, DataPlane, DataPlaneError};
pub use program::{Constants, Program, ProgramError};
pub use view::{CounterTotals, ReasonCount, ServerView, ServiceView, SlotView, View, VipView};
