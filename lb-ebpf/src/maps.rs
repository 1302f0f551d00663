//! The maps. Their sizes here are placeholders: user space sets them from the configuration. The records are described
//! in `lb_common::layout`.

use aya_ebpf::{
    macros::map,
    maps::{Array, DevMapHash, HashMap, LruHashMap, PerCpuArray},
};
use lb_common::{
    layout::{Counter, Direct4, Direct6, Endpoint4, Endpoint6, Label, ServerRecord, ServiceRecord, VipRecord},
    slot::SlotPair,
    wire::Raw6,
};

/// `BPF_F_MMAPABLE`: user space writes the map like memory.
const MMAPABLE: u32 = 1 << 10;

/// VIP, port and protocol -> service id.
#[map(name = "services4")]
pub(crate) static SERVICES4: HashMap<Endpoint4, u32> = HashMap::with_max_entries(1, 0);

/// The same for IPv6.
#[map(name = "services6")]
pub(crate) static SERVICES6: HashMap<Endpoint6, u32> = HashMap::with_max_entries(1, 0);

/// Service id -> service.
#[map(name = "services")]
pub(crate) static SERVICES: Array<ServiceRecord> = Array::with_max_entries(1, MMAPABLE);

/// All tables, one block each; two slots a value.
#[map(name = "slots")]
pub(crate) static SLOTS: Array<SlotPair> = Array::with_max_entries(1, MMAPABLE);

/// Server id -> server.
#[map(name = "servers")]
pub(crate) static SERVERS: Array<ServerRecord> = Array::with_max_entries(1, MMAPABLE);

/// VIP -> VIP id; the address is in frame order.
#[map(name = "vips4")]
pub(crate) static VIPS4: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// The same for IPv6.
#[map(name = "vips6")]
pub(crate) static VIPS6: HashMap<Raw6, u32> = HashMap::with_max_entries(1, 0);

/// VIP id -> VIP.
#[map(name = "vips")]
pub(crate) static VIPS: Array<VipRecord> = Array::with_max_entries(1, MMAPABLE);

/// Address, port and protocol of a `nat` server -> service id.
#[map(name = "nat4")]
pub(crate) static NAT4: HashMap<Endpoint4, u32> = HashMap::with_max_entries(1, 0);

/// The same for IPv6.
#[map(name = "nat6")]
pub(crate) static NAT6: HashMap<Endpoint6, u32> = HashMap::with_max_entries(1, 0);

/// Connections that clients made to a `nat` server's own address.
#[map(name = "direct4")]
pub(crate) static DIRECT4: LruHashMap<Direct4, u32> = LruHashMap::with_max_entries(1, 0);

/// The same for IPv6.
#[map(name = "direct6")]
pub(crate) static DIRECT6: LruHashMap<Direct6, u32> = LruHashMap::with_max_entries(1, 0);

/// Packets and bytes by service and server.
#[map(name = "counters")]
pub(crate) static COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);

/// Packets by service and reason.
#[map(name = "reasons")]
pub(crate) static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// When the next echo reply is due, one number per CPU.
#[map(name = "echo_due")]
pub(crate) static ECHO_DUE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// NICs that packets can leave by.
#[map(name = "nics")]
pub(crate) static NICS: DevMapHash = DevMapHash::with_max_entries(1, 0);

/// Server id -> array and name. For people who read the maps; the program does not.
#[map(name = "server_labels")]
pub(crate) static SERVER_LABELS: HashMap<u32, Label> = HashMap::with_max_entries(1, 0);

/// Service id -> array and name. For people who read the maps; the program does not.
#[map(name = "service_labels")]
pub(crate) static SERVICE_LABELS: HashMap<u32, Label> = HashMap::with_max_entries(1, 0);

/// What one must know to read the other maps, see `lb_common::layout::meta`. The program does not look at it.
#[map(name = "meta")]
pub(crate) static META: Array<u64> = Array::with_max_entries(lb_common::layout::meta::WORDS, MMAPABLE);
