//! Which addresses a VIP or a server may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use toml::Spanned;

use super::{
    deployment::Addresses,
    diagnostic::{Findings, Span, quoted},
};

/// Addresses as the file gives them, each with its place: one, or one per family.
#[derive(Clone, Debug)]
pub(super) struct Given {
    span: Span,
    addresses: Vec<Spanned<IpAddr>>,
}

impl Given {
    /// The content of `key`: one unicast address or one per family; anything else is reported.
    pub(super) fn read(values: &Spanned<Vec<Spanned<String>>>, key: &str, findings: &mut Findings) -> Option<Self> {
        let listed = values.get_ref();
        if listed.is_empty() {
            let remedy = "write one address, or one IPv4 and one IPv6 address";
            findings.error(values.span(), format!("`{key}` is an empty list"), remedy);
            return None;
        }
        let addresses: Option<Vec<_>> =
            listed.iter().map(|value| unicast(value, key, findings)).collect::<Vec<_>>().into_iter().collect();
        let addresses = addresses?;
        for (family, is_family) in FAMILIES {
            let count = addresses.iter().filter(|address| is_family(address.get_ref())).count();
            if count > 1 {
                findings.error(
                    values.span(),
                    format!("`{key}` has {count} {family} addresses"),
                    "keep one of each family; write an entry of its own for each more",
                );
                return None;
            }
        }
        Some(Self { span: values.span(), addresses })
    }

    /// Where the file has them.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// In the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Spanned<IpAddr>> {
        self.addresses.iter()
    }

    /// Whether one of them is of the family of `other`.
    pub(super) fn has_family(&self, other: &Spanned<IpAddr>) -> bool {
        self.iter().any(|address| address.get_ref().is_ipv4() == other.get_ref().is_ipv4())
    }

    /// Without their places.
    pub(super) fn addresses(&self) -> Option<Addresses> {
        let v4 = self.iter().find_map(|address| match address.get_ref() {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let v6 = self.iter().find_map(|address| match address.get_ref() {
            IpAddr::V6(v6) => Some(*v6),
            IpAddr::V4(_) => None,
        });
        Addresses::new(v4, v6)
    }
}

type IsFamily = fn(&IpAddr) -> bool;

const FAMILIES: [(&str, IsFamily); 2] = [("IPv4", IpAddr::is_ipv4), ("IPv6", IpAddr::is_ipv6)];

fn unicast(value: &Spanned<String>, key: &str, findings: &mut Findings) -> Option<Spanned<IpAddr>> {
    let text = value.get_ref();
    let (message, remedy) = match text.parse::<IpAddr>() {
        Ok(address) => match not_unicast(address) {
            None => return Some(Spanned::new(value.span(), address)),
            Some(what) => {
                (format!("`{key}` is {address}, {what}"), "write a unicast address of the servers' network".to_owned())
            }
        },
        Err(_) => not_an_address(text, key),
    };
    findings.error(value.span(), message, remedy);
    None
}

fn not_an_address(text: &str, key: &str) -> (String, String) {
    let quote = quoted(text);
    if let Ok(socket) = text.parse::<SocketAddr>() {
        let remedy = format!("write {key} = \"{}\"; a port is a key of the service", socket.ip());
        return (format!("`{key}` is {quote}, an address with a port"), remedy);
    }
    if let Some((address, _)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let remedy = format!("write {key} = \"{address}\"");
        return (format!("`{key}` is {quote}, an address with a prefix length"), remedy);
    }
    let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(Ok(address)) = unbracketed.map(str::parse::<Ipv6Addr>) {
        let remedy = format!("write {key} = \"{address}\"");
        return (format!("`{key}` is {quote}, an address in brackets"), remedy);
    }
    let remedy = format!("write it like {key} = \"10.1.0.11\" or {key} = \"2001:db8:1::11\"");
    (format!("`{key}` is {quote}, which is not an IP address"), remedy)
}

/// What an address that can't be one host's own, reached over a network, is instead (RFC 6890).
fn not_unicast(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_unicast4(address),
        IpAddr::V6(address) => not_unicast6(address),
    }
}

fn not_unicast4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, ..] = address.octets();
    Some(match first {
        0 => "an address of \"this network\" (0.0.0.0/8)",
        127 => "a loopback address",
        224..=239 => "a multicast address",
        255 if address.is_broadcast() => "the broadcast address",
        240..=255 => "a reserved address (240.0.0.0/4)",
        _ if address.is_link_local() => "a link-local address",
        _ => return None,
    })
}

fn not_unicast6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("the loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4 address written as IPv6 (::ffff:0:0/96)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unicast_addresses_pass() {
        for text in ["10.1.0.11", "192.0.2.1", "100.64.0.1", "223.255.255.254", "1.0.0.0", "2001:db8::1", "fd00::11"] {
            assert_eq!(not_unicast(text.parse().unwrap()), None, "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "169.254.1.1",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "::ffff:10.1.0.11",
        ] {
            assert!(not_unicast(text.parse().unwrap()).is_some(), "{text}");
        }
    }
}
