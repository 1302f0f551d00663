//! The XDP program: loaded with a NIC's constants against a set of maps, and run on frames for tests.

use std::{io, sync::Arc};

use aya::{
    Ebpf, EbpfLoader,
    programs::{TestRun, TestRunOptions, Xdp},
};
use lb_common::hash::Key;
use thiserror::Error;

use super::{maps, object, pins::MapSet, sizing::Sizes};

/// Name of the program in the object.
const NAME: &str = "caslb";

/// What the program is told when it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constants {
    /// Key of the flow hash.
    pub key: Key,
    /// Slots of each table.
    pub slots: u32,
    /// Counters reserved for each service.
    pub stride: u32,
    /// Index of the NIC.
    pub ifindex: u32,
    /// MAC address of the NIC.
    pub mac: [u8; 6],
    /// Whether replies of `nat` servers must be looked for.
    pub nat: bool,
    /// Whether each decision is logged.
    pub log: bool,
}

/// Why the program could not be loaded.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// The binary has none.
    #[error(
        "this caslb was built without its BPF program: build it with `cargo xtask build-ebpf` and then build caslb again"
    )]
    Missing,
    /// The process has not the rights.
    #[error("the kernel does not let this process load BPF programs and maps: run caslb as root")]
    NotPermitted,
    /// aya or the kernel refused it.
    #[error("the XDP program cannot be loaded: {0:#}")]
    Load(Arc<anyhow::Error>),
}

impl ProgramError {
    fn load(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let os_errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        if os_errors.filter_map(io::Error::raw_os_error).any(|code| code == libc::EPERM) {
            return Self::NotPermitted;
        }
        Self::Load(Arc::new(error))
    }
}

/// The program, loaded.
#[derive(Debug)]
pub struct Program {
    ebpf: Ebpf,
}

impl Program {
    /// Loads the program. Maps that are not pinned in `set` yet are made there with `sizes`.
    pub(super) fn load(set: &MapSet, sizes: &Sizes, constants: &Constants) -> Result<Self, ProgramError> {
        let object = object::object().ok_or(ProgramError::Missing)?;
        let Constants { key: [key0, key1], slots, stride, ifindex, mac, nat, log } = constants;
        let mac_word = lb_common::wire::Mac::new(*mac).raw();
        let (nat, log) = (u8::from(*nat), u8::from(*log));
        // aya-log's levels count up to trace; ours log at debug.
        let log_level = if log == 0 { 0u8 } else { 4u8 };
        let mut loader = EbpfLoader::new();
        loader
            .override_global("HASH_KEY_0", key0, true)
            .override_global("HASH_KEY_1", key1, true)
            .override_global("SLOTS", slots, true)
            .override_global("COUNTER_STRIDE", stride, true)
            .override_global("IFINDEX", ifindex, true)
            .override_global("MAC", &mac_word, true)
            .override_global("NAT", &nat, true)
            .override_global("LOG_DECISIONS", &log, true)
            .override_global("AYA_LOG_LEVEL", &log_level, false);
        for map in sizes.maps() {
            loader.map_max_entries(map.name, map.entries);
        }
        for name in maps::names() {
            loader.map_pin_path(name, set.map(name));
        }
        let mut ebpf = loader.load(object).map_err(ProgramError::load)?;
        let xdp = xdp(&mut ebpf)?;
        xdp.load().map_err(ProgramError::load)?;
        Ok(Self { ebpf })
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, ProgramError> {
        xdp(&mut self.ebpf)
    }

    pub(super) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Instructions after translation, and instructions the verifier looked at.
    pub fn instruction_counts(&mut self) -> Result<(Option<u32>, Option<u32>), ProgramError> {
        let info = self.xdp()?.info().map_err(ProgramError::load)?;
        Ok((info.size_translated().map(|bytes| bytes / 8), info.verified_instruction_count()))
    }

    /// Runs the program once on `frame`: the XDP action and the frame afterwards. The kernel wants at least 14 bytes.
    pub fn run(&mut self, frame: &[u8]) -> Result<(u32, Vec<u8>), ProgramError> {
        // Room for what a program may add in front.
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::default() };
        let result = self.xdp()?.test_run(options).map_err(ProgramError::load)?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramError> {
    let program = ebpf.program_mut(NAME).ok_or(ProgramError::Missing)?;
    program.try_into().map_err(ProgramError::load)
}
