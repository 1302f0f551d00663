//! The few system calls that no library wraps safely: memory-mapped BPF arrays, waiting for running programs,
//! detaching a pinned link, raw frames.
//!
//! The only module with `unsafe`. Each function states what it asks of the kernel and keeps the unsafety to itself.

use std::{
    ffi::CString,
    io,
    marker::PhantomData,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64},
};

use lb_common::layout::{ServerRecord, ServiceRecord, VipRecord};

/// Types that may lie in memory which the kernel and other processes change at any time: every bit pattern is valid,
/// and all access is atomic.
///
/// # Safety
/// The type consists of atomics alone and has no padding.
pub unsafe trait Shared {}

// SAFETY: atomics, or `repr(C)` rows of eight atomics.
unsafe impl Shared for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}
// SAFETY: as above.
unsafe impl Shared for ServiceRecord {}
// SAFETY: as above.
unsafe impl Shared for ServerRecord {}
// SAFETY: as above.
unsafe impl Shared for VipRecord {}

/// A BPF array of `T`, mapped into memory until dropped.
#[derive(Debug)]
pub struct MappedArray<T> {
    base: NonNull<T>,
    length: usize,
    element: PhantomData<T>,
}

impl<T: Shared> MappedArray<T> {
    /// Maps `length` elements of the array `map`, which must have been created with `BPF_F_MMAPABLE`. Fails when the
    /// array is smaller.
    pub fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let bytes = length.checked_mul(size_of::<T>()).filter(|&bytes| bytes > 0).ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, map.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<T>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { base, length, element: PhantomData })
    }

    /// The elements.
    pub fn rows(&self) -> &[T] {
        // SAFETY: the mapping is page-aligned, has `length` elements, lives as long as `self`, and `Shared` makes every
        // content valid and every concurrent change well-defined.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping made in `new`, and `rows` borrows have ended. Unmapping
        // cannot fail for a whole mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length * size_of::<T>()) };
    }
}

// SAFETY: the mapping belongs to the process, not to a thread, and its content is atomics.
unsafe impl<T> Send for MappedArray<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for MappedArray<T> {}

/// Waits until every BPF program that was running when this was called has ended.
///
/// `MEMBARRIER_CMD_GLOBAL` returns after an RCU grace period (kernel/sched/membarrier.c calls `synchronize_rcu`), and XDP
/// programs run inside RCU read-side sections. Takes some milliseconds. Kernels booted with `nohz_full` refuse the
/// command; a second is then beyond the time any XDP program, bounded as it is, can take.
pub fn wait_for_running_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

/// Takes the program of a pinned BPF link off its NIC, before this returns. Removing the pin alone does so too, but only
/// once the kernel gets round to it, and until then nobody else can attach to that NIC.
pub fn detach_link(pin: &Path) -> io::Result<()> {
    // Commands and the parts of `union bpf_attr` that they read (include/uapi/linux/bpf.h).
    const OBJ_GET: libc::c_int = 7;
    const LINK_DETACH: libc::c_int = 34;
    #[repr(C)]
    struct ObjGet {
        path: u64,
        fd: u32,
        flags: u32,
    }
    #[repr(C)]
    struct LinkDetach {
        fd: libc::c_int,
    }
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let get = ObjGet { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the attributes and the path in them are valid for reading, and the length is that of the attributes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET, &raw const get, size_of::<ObjGet>()) };
    let fd = match libc::c_int::try_from(fd) {
        Ok(fd) if fd >= 0 => fd,
        _ => return Err(io::Error::last_os_error()),
    };
    // SAFETY: the descriptor is new and belongs to nobody else.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    let detach = LinkDetach { fd: link.as_raw_fd() };
    // SAFETY: the attributes are valid for reading, and the length is theirs.
    let result = unsafe { libc::syscall(libc::SYS_bpf, LINK_DETACH, &raw const detach, size_of::<LinkDetach>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A socket that sends whole Ethernet frames.
#[derive(Debug)]
pub struct FrameSocket(OwnedFd);

impl FrameSocket {
    /// Opens it; needs `CAP_NET_RAW`. Protocol 0, so that it receives nothing.
    pub fn open() -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends `frame` out of the NIC `ifindex`.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // SAFETY: `sockaddr_ll` is numbers and an array of them.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
        to.sll_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
        let length = u32::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
        let address = (&raw const to).cast();
        // SAFETY: frame and address are valid for reading for the lengths given.
        let sent = unsafe { libc::sendto(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, address, length) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
