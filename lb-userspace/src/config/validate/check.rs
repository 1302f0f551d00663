//! Rules about one `[[array.service.check]]`.

use std::{collections::BTreeSet, time::Duration};

use crate::config::{
    deployment::{Check, CheckKind, HttpCheck, Verify},
    diagnostic::{Findings, Span, quoted},
    fields::Field,
    names,
    raw::RawCheck,
    units::duration_text,
    words::{CheckType, VerifyWord},
};

use super::{
    service::port,
    values::{Key, choice, duration, in_range, not_a_word, obeys, required, suggest_word, whole},
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4);
/// Shorter than this the timer's own resolution decides.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;

/// Longest `path`, in bytes: twice what browsers and servers commonly take is not needed for a health page.
const MAX_PATH: usize = 2048;

/// Longest `body`, in bytes.
const MAX_BODY: usize = 4096;

/// The check of a TCP service that names none.
pub(super) fn default_tcp(port: u16) -> Check {
    Check {
        kind: CheckKind::Tcp,
        port,
        interval: DEFAULT_INTERVAL,
        timeout: DEFAULT_TIMEOUT,
        rise: DEFAULT_RISE,
        fall: DEFAULT_FALL,
    }
}

/// `server_port` is the service's, `None` when it has been reported; `default_host` is asked for when no host is named.
pub(super) fn validate(
    raw: &RawCheck,
    server_port: Option<u16>,
    default_host: Option<&str>,
    findings: &mut Findings,
) -> Option<Check> {
    let key = Key {
        table: "[[array.service.check]]",
        span: raw.span.as_ref(),
        key: "type",
        example: "\"https\"",
    };
    required(&raw.kind, key, findings);
    let kind = choice::<CheckType>(&raw.kind, "type", None, findings);
    if let Some(kind) = kind {
        only_where_meant(raw, kind, findings);
    }
    // Everything is looked at before anything is given up, so that all errors are reported.
    let port = match &raw.port {
        Field::Absent => server_port,
        Field::Reported => None,
        Field::Given(value) => port(value, "port", findings).map(toml::Spanned::into_inner),
    };
    let times = times(raw, findings);
    let rise = whole(&raw.rise, "rise", 1..=100, DEFAULT_RISE, findings);
    let fall = whole(&raw.fall, "fall", 1..=100, DEFAULT_FALL, findings);
    let http = http(raw, default_host, findings);
    let verify = verify(&raw.verify, findings);
    let kind = match kind? {
        CheckType::Tcp => CheckKind::Tcp,
        CheckType::Http => CheckKind::Http(http?),
        CheckType::Https => CheckKind::Https(http?, verify?),
    };
    let (interval, timeout) = times?;
    Some(Check {
        kind,
        port: port?,
        interval,
        timeout,
        rise: rise?,
        fall: fall?,
    })
}

/// Reports keys that a check of this type has no use for.
fn only_where_meant(raw: &RawCheck, kind: CheckType, findings: &mut Findings) {
    let http: [(&str, Option<Span>); 4] = [
        ("path", raw.path.given_span()),
        ("host", raw.host.given_span()),
        ("status", raw.status.given_span()),
        ("body", raw.body.given_span()),
    ];
    if kind == CheckType::Tcp {
        for (key, span) in http {
            if span.is_some() {
                let remedy = "remove it, or write type = \"http\" or \"https\"";
                findings.error(
                    span,
                    format!("`{key}` has no meaning in a tcp check"),
                    remedy,
                );
            }
        }
    }
    if kind != CheckType::Https
        && let Field::Given(value) = &raw.verify
    {
        findings.error(
            value.span(),
            format!(
                "`verify` has no meaning in {} check",
                if kind == CheckType::Tcp {
                    "a tcp"
                } else {
                    "an http"
                }
            ),
            "remove it, or write type = \"https\"",
        );
    }
}

/// Interval and timeout.
fn times(raw: &RawCheck, findings: &mut Findings) -> Option<(Duration, Duration)> {
    let interval = match &raw.interval {
        Field::Absent => Some(DEFAULT_INTERVAL),
        field => duration(
            field,
            "interval",
            SHORTEST_INTERVAL..=LONGEST_INTERVAL,
            findings,
        ),
    };
    let Field::Given(given) = &raw.timeout else {
        let timeout = interval?.min(DEFAULT_TIMEOUT);
        return matches!(raw.timeout, Field::Absent).then_some((interval?, timeout));
    };
    let timeout = duration(
        &raw.timeout,
        "timeout",
        SHORTEST_TIMEOUT..=LONGEST_INTERVAL,
        findings,
    )?;
    let interval = interval?;
    if timeout > interval {
        let message = format!(
            "`timeout` is {}, longer than the interval of {}",
            quoted(given.get_ref()),
            duration_text(interval)
        );
        let remedy = format!(
            "write a timeout of at most {}, or a longer interval",
            duration_text(interval)
        );
        match raw.interval.given_span() {
            Some(place) => {
                findings.conflict(given.span(), (place, "the interval"), message, remedy)
            }
            None => findings.error(given.span(), message, remedy),
        }
        return None;
    }
    Some((interval, timeout))
}

fn http(raw: &RawCheck, default_host: Option<&str>, findings: &mut Findings) -> Option<HttpCheck> {
    let host = match &raw.host {
        Field::Absent => Some(default_host.map(str::to_owned)),
        Field::Reported => None,
        Field::Given(value) => {
            let allowed = "a DNS name such as mail.contoso.com; without the key, the array's first namespace is asked for";
            obeys(value, "host", names::host, allowed, findings).map(|host| Some(host.into_inner()))
        }
    };
    let path = path(&raw.path, findings);
    let status = status(&raw.status, findings);
    let body = body(&raw.body, findings);
    Some(HttpCheck {
        host: host?,
        path: path?,
        status: status?,
        body: body?,
    })
}

fn path(field: &Field<String>, findings: &mut Findings) -> Option<String> {
    let value = match field {
        Field::Absent => return Some("/".to_owned()),
        Field::Reported => return None,
        Field::Given(value) => value,
    };
    let path = value.get_ref();
    let (wrong, remedy) = if !path.starts_with('/') {
        (
            "does not begin with a slash".to_owned(),
            "write the path alone, such as \"/health\"; `host` and `port` are keys",
        )
    } else if let Some(c) = path.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
        (
            format!("has the character {c:?}"),
            "write it percent-encoded, such as %20 for a space",
        )
    } else if path.len() > MAX_PATH {
        (
            format!("has {} bytes, of at most {MAX_PATH}", path.len()),
            "write a shorter path",
        )
    } else {
        return Some(path.clone());
    };
    findings.error(
        value.span(),
        format!("{} in `path` {wrong}", quoted(path)),
        remedy,
    );
    None
}

fn status(
    field: &Field<Vec<toml::Spanned<i64>>>,
    findings: &mut Findings,
) -> Option<BTreeSet<u16>> {
    let listed = match field {
        Field::Absent => return Some(BTreeSet::from([200])),
        Field::Reported => return None,
        Field::Given(listed) => listed,
    };
    if listed.get_ref().is_empty() {
        findings.error(
            listed.span(),
            "`status` is an empty list",
            "write the accepted status codes, such as [200, 204]",
        );
        return None;
    }
    // Collected first, so that each wrong code is reported.
    let codes: Vec<Option<u16>> = listed
        .get_ref()
        .iter()
        .map(|code| in_range(code, "status", 100..=599, findings))
        .collect();
    codes.into_iter().collect()
}

fn body(field: &Field<String>, findings: &mut Findings) -> Option<Option<String>> {
    let value = match field {
        Field::Absent => return Some(None),
        Field::Reported => return None,
        Field::Given(value) => value,
    };
    let length = value.get_ref().len();
    if length == 0 {
        findings.error(
            value.span(),
            "`body` is empty",
            "remove it, or write text that the body must contain",
        );
        return None;
    }
    if length > MAX_BODY {
        let remedy =
            format!("write at most {MAX_BODY} bytes that tell a good answer from a bad one");
        findings.error(value.span(), format!("`body` has {length} bytes"), remedy);
        return None;
    }
    Some(Some(value.get_ref().clone()))
}

fn verify(field: &Field<String>, findings: &mut Findings) -> Option<Verify> {
    let value = match field {
        Field::Absent => return Some(Verify::Full),
        Field::Reported => return None,
        Field::Given(value) => value,
    };
    let text = value.get_ref();
    let (prefixed, digits) = match text.strip_prefix("sha256:") {
        Some(digits) => (true, digits),
        None => (false, text.as_str()),
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    // No word that could be meant consists of hexadecimal digits alone.
    let fingerprint =
        prefixed || (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()));
    if !fingerprint {
        return match VerifyWord::of(text) {
            Some(word) => Some(word.into()),
            None => {
                let remedy = format!(
                    "{}, or a SHA-256 fingerprint",
                    suggest_word::<VerifyWord>(text)
                );
                findings.error(
                    value.span(),
                    not_a_word::<VerifyWord>("verify", text),
                    remedy,
                );
                None
            }
        };
    }
    let decoded = from_hex(&digits);
    if decoded.is_none() {
        let message = if digits.len() == 40 {
            "`verify` is a SHA-1 fingerprint (the \"thumbprint\" of Windows), which is not accepted"
                .to_owned()
        } else {
            format!(
                "`verify` is {}, which is not a SHA-256 fingerprint of 64 hexadecimal digits",
                quoted(text)
            )
        };
        let remedy = "write what `openssl x509 -noout -fingerprint -sha256 -in server.pem` prints after the equals sign";
        findings.error(value.span(), message, remedy);
    }
    decoded.map(Verify::Fingerprint)
}

/// 64 hexadecimal digits as bytes.
fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = digits
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    if digits.len() == 64 {
        bytes.try_into().ok()
    } else {
        None
    }
}
