//! What the core must do, as recorded events and as laws.

mod families;
mod properties;
mod reload;
mod replay;
mod running;
mod start;
