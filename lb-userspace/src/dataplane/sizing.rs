//! How large the maps must be for a deployment, with room to grow, and how much memory that takes.

use std::collections::BTreeSet;

use lb_common::{slot, verdict::REASONS_PER_SERVICE};

use crate::config::deployment::{Addresses, Deployment, Mode};

/// Connections to the servers' own addresses that are remembered where `nat` is in use.
const DIRECT: u32 = 65_536;

/// Sizes of one set of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Slots of each table.
    pub slots: u32,
    /// Tables that fit, counting those being built beside those in use.
    pub blocks: u32,
    /// Service ids, 0 included.
    pub services: u32,
    /// Server ids, 0 included.
    pub servers: u32,
    /// Addresses of VIPs.
    pub vips: u32,
    /// Counters reserved for each service: servers an array can have.
    pub stride: u32,
    /// Addresses, ports and protocols of servers of `nat` services, in each family.
    pub nat: u32,
    /// NICs packets can leave by.
    pub nics: u32,
    /// Connections to `nat` servers' own addresses that are remembered.
    pub direct: u32,
}

/// What a deployment uses of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Slots of each table.
    pub slots: u32,
    /// Services, or the highest id one has.
    pub services: u32,
    /// Servers, or the highest id one has.
    pub servers: u32,
    /// Servers of the largest array, or the positions they take up.
    pub largest_array: u32,
    /// Addresses of VIPs, of both families together.
    pub vips: u32,
    /// Addresses, ports and protocols of servers of `nat` services, of the family that has more.
    pub nat: u32,
}

/// One map as `caslb check` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSize {
    /// Its name.
    pub name: &'static str,
    /// Entries it can hold.
    pub entries: u32,
    /// Memory in bytes, of one copy where there is one per CPU; hash tables' overhead is an estimate.
    pub bytes: u64,
    /// Whether every CPU has a copy.
    pub per_cpu: bool,
}

/// The maps of a deployment.
pub fn sizes(deployment: &Deployment) -> Vec<MapSize> {
    Sizes::for_need(&need(deployment)).maps()
}

/// What `deployment` needs.
pub fn need(deployment: &Deployment) -> Need {
    let arrays = &deployment.arrays;
    let count = |of: &dyn Fn(&crate::config::deployment::Array) -> usize| arrays.iter().map(of).sum::<usize>();
    // Each family has keys of its own, so the larger of the two counts.
    let nat_endpoints = |has: fn(&Addresses) -> bool| {
        count(&|array| {
            let services = array.services.iter().filter(|service| service.mode == Mode::Nat && has(&service.vip));
            services.count() * array.servers.iter().filter(|server| has(&server.address)).count()
        })
    };
    let vips = arrays.iter().flat_map(|array| &array.services).flat_map(|service| service.vip.iter());
    Need {
        slots: deployment.node.slots,
        services: bounded(count(&|array| array.services.len())),
        servers: bounded(count(&|array| array.servers.len())),
        largest_array: bounded(arrays.iter().map(|array| array.servers.len()).max().unwrap_or(0)),
        vips: bounded(vips.collect::<BTreeSet<_>>().len()),
        nat: bounded(nat_endpoints(has_v4).max(nat_endpoints(has_v6))),
    }
}

/// Whether there are keys for it in the maps of IPv4.
pub(super) fn has_v4(addresses: &Addresses) -> bool {
    addresses.v4().is_some()
}

/// The same for IPv6.
pub(super) fn has_v6(addresses: &Addresses) -> bool {
    addresses.v6().is_some()
}

/// Validated deployments have at most some ten thousand of anything.
fn bounded(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX / 4)
}

impl Sizes {
    /// Sizes with room to double what is needed now.
    pub fn for_need(need: &Need) -> Self {
        let room = |count: u32, least: u32| count.saturating_mul(2).max(least).next_power_of_two();
        Self {
            slots: need.slots,
            blocks: (2 * need.services + 2).max(8),
            services: room(need.services + 1, 64),
            servers: room(need.servers + 1, 64).min(u32::from(lb_common::layout::MAX_SERVER_ID) + 1),
            vips: room(need.vips, 64),
            stride: (need.largest_array * 3 / 2).max(16).next_power_of_two(),
            nat: room(need.nat, 64),
            nics: 64,
            direct: if need.nat == 0 { 64 } else { DIRECT },
        }
    }

    /// Whether maps of these sizes can go on to serve `need`.
    pub fn fit(&self, need: &Need) -> bool {
        self.slots == need.slots
            // While tables are switched, all old and all new ones are there.
            && self.blocks >= 2 * need.services + 2
            && self.services > need.services
            && self.servers > need.servers
            && self.vips >= need.vips
            && self.stride >= need.largest_array
            && self.nat >= need.nat
            && (need.nat == 0 || self.direct == DIRECT)
    }

    /// The maps with their sizes for the program's loader and for people.
    pub fn maps(&self) -> Vec<MapSize> {
        // Elements of a preallocated hash table carry about 48 bytes of links and hash, and a bucket takes 16.
        let hash = |entries: u32, key: u64, value: u64| u64::from(entries) * (48 + 16 + key + value);
        let array = |entries: u32, value: u64| u64::from(entries) * value;
        let map = |name, entries, bytes| MapSize { name, entries, bytes, per_cpu: false };
        let per_cpu = |name, entries, bytes| MapSize { name, entries, bytes, per_cpu: true };
        let Self { slots, blocks, services, servers, vips, stride, nat, nics, direct } = *self;
        let pairs = blocks * (slot::block_length(slots) / 2);
        let (counters, reasons) = (services * stride, services * REASONS_PER_SERVICE);
        vec![
            map("slots", pairs, array(pairs, 8)),
            map("services4", services, hash(services, 8, 8)),
            map("services", services, array(services, 64)),
            map("service_labels", services, hash(services, 8, 320)),
            map("servers", servers, array(servers, 64)),
            map("server_labels", servers, hash(servers, 8, 320)),
            map("vips4", vips, hash(vips, 8, 8)),
            map("vips", vips, array(vips, 8)),
            map("nat4", nat, hash(nat, 8, 8)),
            map("direct4", direct, hash(direct, 16, 8)),
            map("services6", services, hash(services, 24, 8)),
            map("vips6", vips, hash(vips, 16, 8)),
            map("nat6", nat, hash(nat, 24, 8)),
            map("direct6", direct, hash(direct, 40, 8)),
            per_cpu("counters", counters, array(counters, 16)),
            per_cpu("reasons", reasons, array(reasons, 8)),
            per_cpu("echo_due", 1, 8),
            map("nics", nics, hash(nics, 8, 8)),
            map("meta", lb_common::layout::meta::WORDS, array(lb_common::layout::meta::WORDS, 8)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need_of(services: u32, servers: u32) -> Need {
        Need { slots: 65_537, services, servers, largest_array: servers, vips: services, nat: 0 }
    }

    #[test]
    fn sizes_fit_what_they_were_made_for_and_some_growth() {
        for (services, servers) in [(1, 2), (10, 20), (500, 4096), (4096, 32_767)] {
            let need = need_of(services, servers);
            assert!(Sizes::for_need(&need).fit(&need), "{services} services, {servers} servers");
        }
        let sizes = Sizes::for_need(&need_of(1, 3));
        assert!(sizes.fit(&need_of(3, 16)), "small deployments grow without a new set of maps");
        assert!(!sizes.fit(&need_of(4, 3)) && !sizes.fit(&need_of(1, 17)));
        assert!(!sizes.fit(&Need { slots: 251, ..need_of(1, 3) }), "another table size needs other maps");
    }

    #[test]
    fn a_small_deployment_takes_a_few_megabytes() {
        let bytes: u64 = Sizes::for_need(&need_of(10, 20)).maps().iter().map(|map| map.bytes).sum();
        assert!(bytes < 10 << 20, "{bytes}");
    }
}
