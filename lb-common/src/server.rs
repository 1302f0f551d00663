//! Which server a slot stands for.

use crate::{environment::Environment, layout::ServerRecord, verdict::Reason};

/// The server that the slot at `position` steers to: its id and its record.
#[inline(always)]
pub fn at<E: Environment>(world: &E, position: u32) -> Result<(u16, &ServerRecord), Reason> {
    let slot = world.slot(position).ok_or(Reason::Defect)?;
    let id = slot.current();
    if id == 0 {
        return Err(Reason::NoServer);
    }
    let record = world.server(id).ok_or(Reason::Defect)?;
    Ok((id, record))
}
