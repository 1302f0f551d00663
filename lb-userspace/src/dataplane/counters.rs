//! Reading and clearing the counters, which have one copy per CPU.

use aya::{
    maps::{MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use lb_common::{Reason, verdict::REASONS_PER_SERVICE};

use super::{
    maps::Maps,
    view::{CounterTotals, ReasonCount},
};

impl Maps {
    /// What one server got of one service, over all CPUs.
    pub(super) fn steered(&self, service: u32, ordinal: u16) -> Result<CounterTotals, MapError> {
        let values = self.counters.get(&self.counter(service, ordinal), 0)?;
        let add = |total: CounterTotals, [packets, bytes]: &[u64; 2]| CounterTotals {
            packets: total.packets + packets,
            bytes: total.bytes + bytes,
        };
        Ok(values.iter().fold(CounterTotals::default(), add))
    }

    /// The reasons counted for a service that are not zero.
    pub(super) fn reasons_of(&self, service: u32) -> Result<Vec<ReasonCount>, MapError> {
        let mut counts = Vec::new();
        for &reason in Reason::ALL {
            let values = self.reasons.get(&(service * REASONS_PER_SERVICE + reason.index()), 0)?;
            let packets = values.iter().sum();
            if packets > 0 {
                counts.push(ReasonCount { reason, packets });
            }
        }
        Ok(counts)
    }

    /// Forgets what an earlier server with this ordinal got.
    pub(super) fn clear_steered(&mut self, service: u32, ordinal: u16) -> Result<(), MapError> {
        let counter = self.counter(service, ordinal);
        self.counters.set(counter, zeroes([0; 2])?, 0)
    }

    /// Forgets what was counted for an earlier service with this id.
    pub(super) fn clear_reasons(&mut self, service: u32) -> Result<(), MapError> {
        for reason in 0..REASONS_PER_SERVICE {
            self.reasons.set(service * REASONS_PER_SERVICE + reason, zeroes(0)?, 0)?;
        }
        Ok(())
    }

    /// Takes over what `old` counted for `service` and the servers with these ordinals.
    pub(super) fn copy_counters(
        &mut self,
        old: &Self,
        service: u32,
        ordinals: impl Iterator<Item = u16>,
    ) -> Result<(), MapError> {
        for ordinal in ordinals.filter(|&ordinal| u32::from(ordinal) < old.sizes.stride) {
            let values = old.counters.get(&old.counter(service, ordinal), 0)?;
            self.counters.set(self.counter(service, ordinal), values, 0)?;
        }
        for &reason in Reason::ALL {
            let position = service * REASONS_PER_SERVICE + reason.index();
            copy(&mut self.reasons, &old.reasons, position)?;
        }
        Ok(())
    }

    fn counter(&self, service: u32, ordinal: u16) -> u32 {
        service * self.sizes.stride + u32::from(ordinal)
    }
}

fn copy(to: &mut PerCpuArray<MapData, u64>, from: &PerCpuArray<MapData, u64>, position: u32) -> Result<(), MapError> {
    to.set(position, from.get(&position, 0)?, 0)
}

fn zeroes<T: aya::Pod>(zero: T) -> Result<PerCpuValues<T>, MapError> {
    let cpus = nr_cpus().map_err(|(_, error)| error)?;
    Ok(PerCpuValues::try_from(vec![zero; cpus])?)
}
