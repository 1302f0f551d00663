//! Rules about one `[[array.service.check]]`.

use std::time::Duration;

use crate::config::{
    deployment::{Check, CheckKind},
    diagnostic::{Findings, Span, quoted},
    fields::Field,
    raw::RawCheck,
    units::duration_text,
    words::CheckType,
};

use super::{
    http,
    service::port,
    values::{Key, choice, duration, required, whole},
};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4);
/// Shorter than this the timer's own resolution decides.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;

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
    let key = Key { table: "[[array.service.check]]", span: raw.span.as_ref(), name: "type", example: "\"https\"" };
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
    let asked = http::validate(raw, default_host, findings);
    let verify = http::verify(&raw.verify, findings);
    let kind = match kind? {
        CheckType::Tcp => CheckKind::Tcp,
        CheckType::Http => CheckKind::Http(asked?),
        CheckType::Https => CheckKind::Https(asked?, verify?),
    };
    let (interval, timeout) = times?;
    Some(Check { kind, port: port?, interval, timeout, rise: rise?, fall: fall? })
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
                findings.error(span, format!("`{key}` has no meaning in a tcp check"), remedy);
            }
        }
    }
    if kind != CheckType::Https
        && let Field::Given(value) = &raw.verify
    {
        findings.error(
            value.span(),
            format!("`verify` has no meaning in {} check", if kind == CheckType::Tcp { "a tcp" } else { "an http" }),
            "remove it, or write type = \"https\"",
        );
    }
}

/// Interval and timeout.
fn times(raw: &RawCheck, findings: &mut Findings) -> Option<(Duration, Duration)> {
    let interval = match &raw.interval {
        Field::Absent => Some(DEFAULT_INTERVAL),
        field => duration(field, "interval", SHORTEST_INTERVAL..=LONGEST_INTERVAL, findings),
    };
    let Field::Given(given) = &raw.timeout else {
        let timeout = interval?.min(DEFAULT_TIMEOUT);
        return matches!(raw.timeout, Field::Absent).then_some((interval?, timeout));
    };
    let timeout = duration(&raw.timeout, "timeout", SHORTEST_TIMEOUT..=LONGEST_INTERVAL, findings)?;
    let interval = interval?;
    if timeout > interval {
        let message = format!(
            "`timeout` is {}, longer than the interval of {}",
            quoted(given.get_ref()),
            duration_text(interval)
        );
        let remedy = format!("write a timeout of at most {}, or a longer interval", duration_text(interval));
        match raw.interval.given_span() {
            Some(place) => {
                findings.conflict(given.span(), (place, "the interval"), message, remedy);
            }
            None => findings.error(given.span(), message, remedy),
        }
        return None;
    }
    Some((interval, timeout))
}
