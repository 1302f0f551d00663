//! placeholder
use std::net::IpAddr;
/// p
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    #[doc = ""]
    pub interface: String,
    #[doc = ""]
    pub ifindex: u32,
    #[doc = ""]
    pub source_mac: [u8; 6],
    #[doc = ""]
    pub next_hop: IpAddr,
    #[doc = ""]
    pub next_hop_mac: [u8; 6],
    #[doc = ""]
    pub on_link: bool,
    #[doc = ""]
    pub mtu: u32,
    #[doc = ""]
    pub source: IpAddr,
}
