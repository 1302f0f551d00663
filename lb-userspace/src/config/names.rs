//! Which names are allowed for what.
//!
//! Each function says what is wrong with a name as the end of a sentence that begins with the name.

/// Longest name of a node, in bytes: it is part of a socket's path, which is at most 107 bytes long (unix(7)).
const MAX_NODE: usize = 32;

/// Longest name of an array or a service, in bytes.
const MAX_LABEL: usize = 63;

/// Longest DNS name, in bytes without the final dot (RFC 1035, section 2.3.4).
const MAX_DNS: usize = 253;

/// Longest label of a DNS name, in bytes (the same section).
const MAX_DNS_LABEL: usize = 63;

/// Longest name of a network interface, in bytes: `IFNAMSIZ` without the final NUL.
const MAX_INTERFACE: usize = 15;

/// A node: letters, digits, `-` and `_`, because pins, the socket and the state directory carry its name.
pub(super) fn node(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
        return Err(format!("has the character {c:?}"));
    }
    limit(name, MAX_NODE)
}

/// An array or a service: printable, no slash (a slash separates the two in commands and messages).
pub(super) fn label(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if name.trim() != name {
        return Err("begins or ends with white space".to_owned());
    }
    if let Some(c) = name.chars().find(|c| *c == '/' || c.is_control()) {
        return Err(format!("has the character {c:?}"));
    }
    limit(name, MAX_LABEL)
}

/// A server: like a DNS name, and the underscore that Windows allows in computer names.
pub(super) fn server(name: &str) -> Result<(), String> {
    dns_labels(name, true)
}

/// A DNS name that clients or checks use as a host name (RFC 1123, section 2.1).
pub(super) fn host(name: &str) -> Result<(), String> {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Err("is an address".to_owned());
    }
    dns_labels(name, false)?;
    // RFC 1123: the last label is never all digits, so that names and dotted addresses can't be confused.
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("ends in a number, which no DNS name does".to_owned());
    }
    Ok(())
}

/// A network interface, by the rules of the kernel's `dev_valid_name`.
pub(super) fn interface(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if matches!(name, "." | "..") {
        return Err("is not the name of an interface".to_owned());
    }
    if let Some(c) = name.chars().find(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) {
        return Err(format!("has the character {c:?}"));
    }
    limit(name, MAX_INTERFACE)
}

fn dns_labels(name: &str, underscore: bool) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.contains('*') {
        return Err("is a wildcard".to_owned());
    }
    if name.ends_with('.') {
        return Err("ends with a dot".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.') || (underscore && c == '_');
    if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        return Err(format!("has the character {c:?}"));
    }
    for part in name.split('.') {
        if part.is_empty() {
            return Err("has nothing between two dots or before the first".to_owned());
        }
        if part.len() > MAX_DNS_LABEL {
            return Err(format!("has a part of {} bytes, of at most {MAX_DNS_LABEL}", part.len()));
        }
        if part.starts_with('-') || part.ends_with('-') {
            return Err("has a part that begins or ends with a hyphen".to_owned());
        }
    }
    limit(name, MAX_DNS)
}

fn limit(name: &str, bytes: usize) -> Result<(), String> {
    if name.len() > bytes { Err(format!("has {} bytes, of at most {bytes}", name.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> Result<(), String>;

    #[test]
    fn each_rule_takes_and_refuses_what_it_should() {
        let long = "a".repeat(64);
        let cases: [(Rule, &[&str], &[&str]); 5] = [
            (node, &["default", "lb-1_a", &long[..32]], &["", "lb 1", "lb/1", "lb.1", "ü", &long[..33]]),
            (label, &["ams", "Web access (ü)", &long[..63]], &["", " ", " a", "a/b", "a\nb", &long]),
            (
                server,
                &["EX01.contoso.com", "ex_01", "1", "10.1.0.11"],
                &["", "ex 01", "ex01.", ".ex01", "a..b", "-a", "a-", "ex01/2", "é", &long],
            ),
            (
                host,
                &["mail.contoso.com", "localhost", "3com.com", "xn--mnchen-3ya.de"],
                &["", "mail_1.contoso.com", "10.1.0.11", "2001:db8::1", "*.contoso.com", "a.b.12", "mail:443"],
            ),
            (
                interface,
                &["eth0", "enp3s0f0np0", "br-lan.10", &long[..15]],
                &["", ".", "eth 0", "eth0:1", "a/b", &long],
            ),
        ];
        for (rule, good, bad) in cases {
            for name in good {
                assert_eq!(rule(name), Ok(()), "{name}");
            }
            for name in bad {
                assert!(rule(name).is_err(), "{name}");
            }
        }
        assert!(host(&format!("{0}.{0}.{0}.{0}", "a".repeat(63))).is_err());
    }
}
