//! Turning errors of sockets, TLS and HTTP into a [`Failed`] that an administrator can read.
//!
//! Only classifies and words; no I/O.

use std::{error::Error, io};

use super::{Failed, FailureKind};

impl Failed {
    /// The failure behind an error of a socket call.
    pub(super) fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind as E;
        let (kind, detail) = match error.kind() {
            E::ConnectionRefused => (FailureKind::Refused, "connection refused".to_owned()),
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => {
                (FailureKind::Reset, "connection reset by the server".to_owned())
            }
            E::UnexpectedEof => (FailureKind::Reset, "connection closed before an answer".to_owned()),
            // The kernel's own timeout, long after ours.
            E::TimedOut => (FailureKind::Timeout, "connection timed out".to_owned()),
            E::HostUnreachable => (FailureKind::Unreachable, "host unreachable".to_owned()),
            E::NetworkUnreachable | E::NetworkDown => (FailureKind::Unreachable, "network unreachable".to_owned()),
            _ if is_local(error) => (FailureKind::Local, format!("this host cannot run the check: {}", plain(error))),
            _ => (FailureKind::Protocol, format!("connection failed: {}", plain(error))),
        };
        Self::new(kind, detail)
    }

    /// The failure behind an error of a TLS handshake. `name` is the name the certificate was checked against.
    pub(super) fn from_tls(error: &native_tls::Error, name: &str) -> Self {
        // A broken connection during the handshake shows up as an I/O error below the TLS error.
        if let Some(io) = sources(error).find_map(<dyn Error>::downcast_ref::<io::Error>) {
            let failed = Self::from_io(io);
            if failed.kind != FailureKind::Protocol {
                return Self::new(failed.kind, format!("TLS handshake: {}", failed.detail));
            }
        }
        if let Some(problem) = certificate_problem(error, name) {
            return Self::new(FailureKind::Tls, problem);
        }
        let text = error.to_string();
        let detail = if text.contains("unexpected EOF") {
            "TLS handshake: connection closed by the server".to_owned()
        } else {
            format!("TLS handshake failed: {}", openssl_reason(&text))
        };
        Self::new(FailureKind::Tls, detail)
    }

    /// The failure behind an error of an HTTP request. `name` is the name the certificate was checked against.
    pub(super) fn from_http(error: &reqwest::Error, name: &str) -> Self {
        for source in sources(error) {
            if let Some(tls) = source.downcast_ref::<native_tls::Error>() {
                return Self::from_tls(tls, name);
            }
            if let Some(hyper) = source.downcast_ref::<hyper::Error>() {
                if hyper.is_parse_too_large() {
                    return Self::new(FailureKind::Protocol, "the answer's header is too large");
                }
                if hyper.is_parse() {
                    return Self::new(FailureKind::Protocol, "the answer is not HTTP");
                }
                if hyper.is_incomplete_message() || hyper.is_closed() {
                    return Self::new(FailureKind::Reset, "connection closed before an answer");
                }
            }
            if let Some(io) = source.downcast_ref::<io::Error>() {
                return Self::from_io(io);
            }
        }
        if error.is_timeout() {
            return Self::new(FailureKind::Timeout, "no answer in time");
        }
        if error.is_builder() {
            return Self::new(FailureKind::Local, format!("this host cannot make the request: {}", last(error)));
        }
        Self::new(FailureKind::Protocol, format!("request failed: {}", last(error)))
    }
}

/// What is wrong with the server's certificate, when that is why the handshake failed.
pub(super) fn certificate_problem(error: &native_tls::Error, name: &str) -> Option<String> {
    let text = error.to_string();
    if !text.contains("certificate verify failed") {
        return None;
    }
    // OpenSSL's verdict on the certificate stands in parentheses at the end (X509_verify_cert_error_string).
    let verdict = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")).map_or("", |(_, verdict)| verdict);
    Some(match verdict {
        "hostname mismatch" => format!("certificate name mismatch: the certificate is not valid for {name}"),
        "IP address mismatch" => {
            format!(
                "certificate name mismatch: the certificate is not valid for the address {name}; set the check's host"
            )
        }
        "certificate has expired" => "certificate has expired".to_owned(),
        "certificate is not yet valid" => "certificate is not valid yet; compare the clocks".to_owned(),
        "self-signed certificate" => "certificate is self-signed and not trusted by this host".to_owned(),
        "self-signed certificate in certificate chain" => {
            "certificate was issued by an authority that this host does not trust".to_owned()
        }
        "unable to get local issuer certificate" | "unable to verify the first certificate" => {
            "certificate was issued by an authority that this host does not trust, or the server does not send the \
             intermediate certificate"
                .to_owned()
        }
        "" => "certificate not accepted".to_owned(),
        other => format!("certificate not accepted: {other}"),
    })
}

/// Whether an error is about this host rather than the server: descriptors, ports, memory, a local firewall rule.
fn is_local(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::ENOBUFS
                | libc::EADDRNOTAVAIL
                | libc::EADDRINUSE
                | libc::EPERM
                | libc::EACCES
                | libc::EAGAIN
                | libc::EAFNOSUPPORT
        )
    )
}

/// The error itself and every error below it, also those that `io::Error` wraps and leaves out of its chain.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => (*error).source(),
        }
    })
}

/// The innermost message, which names the cause.
fn last(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map_or_else(String::new, ToString::to_string)
}

/// The message of an operating system error without Rust's "(os error N)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// `error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:…` → its fifth field.
fn openssl_reason(text: &str) -> &str {
    if text.starts_with("error:") { text.split(':').nth(4).unwrap_or(text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_this_host_do_not_count_against_the_server() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL, libc::EPERM] {
            let failed = Failed::from_io(&io::Error::from_raw_os_error(errno));
            assert_eq!(failed.kind, FailureKind::Local, "{failed:?}");
            assert!(!failed.detail.contains("os error"), "{failed:?}");
        }
    }

    #[test]
    fn errors_of_the_network_and_the_server_are_told_apart() {
        for (errno, kind) in [
            (libc::ECONNREFUSED, FailureKind::Refused),
            (libc::ECONNRESET, FailureKind::Reset),
            (libc::EPIPE, FailureKind::Reset),
            (libc::ETIMEDOUT, FailureKind::Timeout),
            (libc::EHOSTUNREACH, FailureKind::Unreachable),
            (libc::ENETUNREACH, FailureKind::Unreachable),
            (libc::EPROTO, FailureKind::Protocol),
        ] {
            assert_eq!(Failed::from_io(&io::Error::from_raw_os_error(errno)).kind, kind);
        }
    }

    #[test]
    fn a_wrapped_error_is_found_below_an_io_error() {
        let wrapped = io::Error::other(io::Error::from_raw_os_error(libc::ECONNRESET));
        assert_eq!(sources(&wrapped).count(), 2);
    }

    #[test]
    fn the_reason_of_an_openssl_error_is_its_words() {
        let text = "error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:ssl/record/rec.c:912:";
        assert_eq!(openssl_reason(text), "ssl/tls alert handshake failure");
        assert_eq!(openssl_reason("something else"), "something else");
    }
}
