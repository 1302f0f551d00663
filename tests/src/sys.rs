//! The calls that need `unsafe`: a child process that starts in another network namespace, packet sockets, and the
//! size of the terminal.
//!
//! Everything here is a thin, safe wrapper; what to do with them is decided elsewhere.
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, SockaddrLike, bind, setsockopt, socket, sockopt,
};

/// Receive buffer of packet sockets in bytes: a burst of a whole test fits, so that captures lose nothing.
const RECEIVE_BUFFER: usize = 64 << 20;

/// Makes `command` start its process in the network namespace that `netns` refers to. Only the network changes: the
/// child still sees the host's mounts, so the pins under `/sys/fs/bpf` are the same inside and outside.
pub(crate) fn start_in_netns(command: &mut Command, netns: File) {
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed. It makes a single
    // system call, setns, on a descriptor it owns; turning the errno into an io::Error does not allocate.
    unsafe {
        command.pre_exec(move || setns(&netns, CloneFlags::CLONE_NEWNET).map_err(io::Error::from));
    }
}

/// Opens a raw packet socket for every protocol, bound to the device with index `ifindex` in the network namespace of the
/// calling thread.
pub(crate) fn packet_socket(ifindex: u32) -> io::Result<OwnedFd> {
    // Protocol 0 receives nothing until bind names one: no frames of other devices slip in before that.
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None::<SockProtocol>,
    )?;
    setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
    bind(fd.as_raw_fd(), &link_address(ifindex)?)?;
    Ok(fd)
}

/// The address that binds a packet socket to one device, for all protocols.
fn link_address(ifindex: u32) -> io::Result<LinkAddr> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    // SAFETY: sockaddr_ll is a plain C struct of integers and an array of bytes, for which all zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(out_of_range)?;
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).map_err(out_of_range)?.to_be();
    address.sll_ifindex = i32::try_from(ifindex).map_err(out_of_range)?;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(out_of_range)?;
    // SAFETY: the pointer is to a live sockaddr_ll of the length given, and from_raw copies out of it.
    unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) }
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Columns of the terminal on standard output; `None` if it is none, or does not say.
pub(crate) fn terminal_columns() -> Option<u16> {
    // SAFETY: winsize is a plain C struct of integers, for which all zeros are valid.
    let mut size: libc::winsize = unsafe { mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize to the pointer, which is to a live one (ioctl_tty(2)).
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(size.ws_col)
}

/// The number of frames that the kernel could not queue on this packet socket since the last call.
pub(crate) fn frames_lost(socket: &OwnedFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is a plain C struct of two integers, for which all zeros are valid.
    let mut statistics: libc::tpacket_stats = unsafe { mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tpacket_stats>())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `statistics` is writable for `length` bytes and `length` is writable; the kernel writes at most that much.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(statistics.tp_drops) } else { Err(io::Error::last_os_error()) }
}
