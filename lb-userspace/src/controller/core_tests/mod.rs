//! What the core must do, as recorded events and as laws.

mod properties;
mod reload;
mod replay;
mod running;
mod start;
