//! Which addresses a VIP or a server may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use toml::Spanned;

use super::diagnostic::{Findings, quoted};

/// The one IPv4 address of `values`, the content of `key`; anything else is reported.
pub(super) fn one_unicast(
    values: &Spanned<Vec<Spanned<String>>>,
    key: &str,
    findings: &mut Findings,
) -> Option<Spanned<Ipv4Addr>> {
    match values.get_ref().as_slice() {
        [] => {
            findings.error(values.span(), format!("`{key}` is an empty list"), "write one IPv4 address");
            None
        }
        [value] => unicast(value, key, findings),
        several => {
            let families = |wanted: fn(&IpAddr) -> bool| {
                several.iter().filter_map(|value| value.get_ref().parse().ok()).any(|address| wanted(&address))
            };
            let (message, remedy) = if families(IpAddr::is_ipv4) && families(IpAddr::is_ipv6) {
                (
                    format!("`{key}` with addresses of both families is not supported by this version yet"),
                    "keep the IPv4 address alone",
                )
            } else {
                (
                    format!("`{key}` has {} addresses", several.len()),
                    "keep one; write an entry of its own for each more",
                )
            };
            findings.error(values.span(), message, remedy);
            None
        }
    }
}

fn unicast(value: &Spanned<String>, key: &str, findings: &mut Findings) -> Option<Spanned<Ipv4Addr>> {
    let text = value.get_ref();
    let (message, remedy) = match text.parse::<Ipv4Addr>() {
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
    if text.parse::<Ipv6Addr>().is_ok() {
        let message = format!("`{key}` is {quote}; IPv6 is not supported by this version yet");
        return (message, "use an IPv4 address".to_owned());
    }
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
    (format!("`{key}` is {quote}, which is not an IPv4 address"), format!("write it like {key} = \"10.1.0.11\""))
}

/// What an address that can't be one host's own, reached over a network, is instead (RFC 6890).
fn not_unicast(address: Ipv4Addr) -> Option<&'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unicast_addresses_pass() {
        for text in ["10.1.0.11", "192.0.2.1", "100.64.0.1", "223.255.255.254", "1.0.0.0"] {
            assert_eq!(not_unicast(text.parse().unwrap()), None, "{text}");
        }
        for text in
            ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "169.254.1.1"]
        {
            assert!(not_unicast(text.parse().unwrap()).is_some(), "{text}");
        }
    }
}
