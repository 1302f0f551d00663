//! Rules about what an `http` or `https` check asks and expects.

use std::collections::BTreeSet;

use toml::Spanned;

use crate::config::{
    deployment::{HttpCheck, Verify},
    diagnostic::{Findings, quoted},
    fields::Field,
    names,
    raw::RawCheck,
    words::VerifyWord,
};

use super::values::{in_range, not_a_word, obeys, suggest_word};

/// Longest `body`, in bytes.
const MAX_BODY: usize = 4096;

/// Longest `path`, in bytes: twice what browsers and servers commonly take is not needed for a health page.
const MAX_PATH: usize = 2048;

/// `default_host` is asked for when the check names no host.
pub(super) fn validate(raw: &RawCheck, default_host: Option<&str>, findings: &mut Findings) -> Option<HttpCheck> {
    let host = match &raw.host {
        Field::Absent => Some(default_host.map(str::to_owned)),
        Field::Reported => None,
        Field::Given(value) => {
            let allowed =
                "a DNS name such as mail.contoso.com; without the key, the array's first namespace is asked for";
            obeys(value, "host", names::host, allowed, findings).map(|host| Some(host.into_inner()))
        }
    };
    let path = path(&raw.path, findings);
    let status = status(&raw.status, findings);
    let body = match &raw.body {
        Field::Absent => Some(None),
        Field::Reported => None,
        Field::Given(value) => body_is_usable(value, findings).then(|| Some(value.get_ref().clone())),
    };
    Some(HttpCheck { host: host?, path: path?, status: status?, body: body? })
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
        (format!("has the character {c:?}"), "write it percent-encoded, such as %20 for a space")
    } else if path.len() > MAX_PATH {
        (format!("has {} bytes, of at most {MAX_PATH}", path.len()), "write a shorter path")
    } else {
        return Some(path.clone());
    };
    findings.error(value.span(), format!("{} in `path` {wrong}", quoted(path)), remedy);
    None
}

fn status(field: &Field<Vec<Spanned<i64>>>, findings: &mut Findings) -> Option<BTreeSet<u16>> {
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
    let codes: Vec<Option<u16>> =
        listed.get_ref().iter().map(|code| in_range(code, "status", 100..=599, findings)).collect();
    codes.into_iter().collect()
}

fn body_is_usable(value: &Spanned<String>, findings: &mut Findings) -> bool {
    let length = value.get_ref().len();
    if length == 0 {
        findings.error(value.span(), "`body` is empty", "remove it, or write text that the body must contain");
        return false;
    }
    if length > MAX_BODY {
        let remedy = format!("write at most {MAX_BODY} bytes that tell a good answer from a bad one");
        findings.error(value.span(), format!("`body` has {length} bytes"), remedy);
        return false;
    }
    true
}

/// How the certificate is judged: a word or a fingerprint.
pub(super) fn verify(field: &Field<String>, findings: &mut Findings) -> Option<Verify> {
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
    let fingerprint = prefixed || (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()));
    if !fingerprint {
        let word = VerifyWord::of(text);
        if word.is_none() {
            let remedy = format!("{}, or a SHA-256 fingerprint", suggest_word::<VerifyWord>(text));
            findings.error(value.span(), not_a_word::<VerifyWord>("verify", text), remedy);
        }
        return word.map(Verify::from);
    }
    let decoded = from_hex(&digits);
    if decoded.is_none() {
        let message = if digits.len() == 40 {
            "`verify` is a SHA-1 fingerprint (the \"thumbprint\" of Windows), which is not accepted".to_owned()
        } else {
            format!("`verify` is {}, which is not a SHA-256 fingerprint of 64 hexadecimal digits", quoted(text))
        };
        let remedy =
            "write what `openssl x509 -noout -fingerprint -sha256 -in server.pem` prints after the equals sign";
        findings.error(value.span(), message, remedy);
    }
    decoded.map(Verify::Fingerprint)
}

/// 64 hexadecimal digits as bytes.
fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        digits.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}
