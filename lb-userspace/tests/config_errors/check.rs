//! Rules of `[[array.service.check]]`.

use crate::{at, below, errors, findings, replaced};

#[test]
fn check_rules() {
    errors(&replaced(19, ""), &[(18, "[[array.service.check]] has no `type`", "add type = \"https\"")]);
    at(
        19,
        "type = \"htps\"",
        "`type` is \"htps\", which is none of \"tcp\", \"http\", \"https\"",
        "did you mean \"https\"?",
    );
    for kind in ["tls", "smtp", "imap", "pop3", "icmp"] {
        let message = format!("type = \"{kind}\" is not supported by this version yet");
        at(19, &format!("type = \"{kind}\""), &message, "\"tcp\"");
    }
    below(
        20,
        "role = \"advisory\"",
        "`role` in [[array.service.check]] is not supported by this version yet",
        "every check is required",
    );
    at(20, "port = 0", "`port` is 0, which is out of range", "from 1 to 65535");
    for key in ["rise", "fall"] {
        for value in ["0", "101"] {
            let message = format!("`{key}` is {value}, which is out of range");
            below(20, &format!("{key} = {value}"), &message, "from 1 to 100");
        }
    }
}

#[test]
fn check_durations_are_in_range() {
    for value in ["99ms", "61m", "0s", "99999999999999999999s"] {
        let message = format!("`interval` is \"{value}\", which is out of range");
        below(20, &format!("interval = \"{value}\""), &message, "from 100ms to 1h");
    }
    below(20, "interval = 5", "`interval` must be a string, not a whole number", "interval = \"5s\"");
    for (value, wrong) in [
        ("5", "has a number without a unit"),
        ("", "is empty"),
        ("5 s", "is not a duration"),
        ("1.5s", "is not a duration"),
        ("5d", "has an unknown unit"),
        ("5s1m", "has its units out of order or twice"),
    ] {
        let message = format!("\"{value}\" in `interval` {wrong}");
        below(20, &format!("interval = \"{value}\""), &message, "\"1m30s\"");
    }
    below(20, "timeout = \"1ms\"", "`timeout` is \"1ms\", which is out of range", "from 10ms to 1h");
    below(20, "timeout = \"6s\"", "`timeout` is \"6s\", longer than the interval of 5s", "at most 5s");
    errors(
        &replaced(20, "interval = \"1s\"\ntimeout = \"1500ms\""),
        &[(21, "`timeout` is \"1500ms\", longer than the interval of 1s", "at most 1s")],
    );
    assert_eq!(findings(&replaced(20, "interval = \"1s\"\ntimeout = \"1s\"")), []);
}

#[test]
fn http_checks_ask_for_something_that_exists() {
    below(20, "path = \"health\"", "\"health\" in `path` does not begin with a slash", "such as \"/health\"");
    below(20, "path = \"/a b\"", "\"/a b\" in `path` has the character ' '", "%20");
    below(20, "path = \"/a\\n\"", "\"/a\\n\" in `path` has the character '\\n'", "percent-encoded");
    below(20, "path = \"/a#b\"", "\"/a#b\" in `path` has the character '#'", "percent-encoded");
    below(20, "host = \"10.1.0.11\"", "\"10.1.0.11\" in `host` is an address", "first namespace");
    below(20, "host = \"a_b\"", "\"a_b\" in `host` has the character '_'", "DNS name");
    below(20, "status = []", "`status` is an empty list", "[200, 204]");
    below(20, "status = 200", "`status` must be a list of whole numbers, not a whole number", "status = [200]");
    below(20, "status = [\"OK\"]", "`status` must be a list of whole numbers, and this is a string", "[200]");
    errors(
        &replaced(20, "status = [99, 200, 600]"),
        &[
            (20, "`status` is 99, which is out of range", "from 100 to 599"),
            (20, "`status` is 600, which is out of range", "from 100 to 599"),
        ],
    );
    below(20, "body = \"\"", "`body` is empty", "remove it");
    below(20, &format!("body = \"{}\"", "x".repeat(4097)), "`body` has 4097 bytes", "at most 4096");
    for (key, value) in [("path", "\"/\""), ("host", "\"a.de\""), ("status", "[200]"), ("body", "\"OK\"")] {
        let message = format!("`{key}` has no meaning in a tcp check");
        errors(
            &replaced(19, &format!("type = \"tcp\"\n{key} = {value}")),
            &[(20, &message, "type = \"http\" or \"https\"")],
        );
    }
}

#[test]
fn certificates_are_judged_by_a_word_or_a_sha256_fingerprint() {
    let digits = "0123456789abcdef".repeat(4);
    let colons = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect::<Vec<_>>().join(":");
    for good in ["full", "warn", "none", &digits, &format!("sha256:{digits}"), &colons.to_uppercase()] {
        assert_eq!(findings(&replaced(20, &format!("verify = \"{good}\""))), [], "{good}");
    }
    below(
        20,
        "verify = \"ful\"",
        "`verify` is \"ful\", which is none of \"full\", \"warn\", \"none\"",
        "did you mean \"full\"?",
    );
    let short = &digits[1..];
    below(
        20,
        &format!("verify = \"sha256:{}\"", "0g".repeat(32)),
        &format!(
            "`verify` is \"sha256:{}\"…, which is not a SHA-256 fingerprint of 64 hexadecimal digits",
            &"0g".repeat(32)[..53]
        ),
        "openssl x509",
    );
    below(
        20,
        &format!("verify = \"{short}\""),
        &format!("`verify` is \"{}\"…, which is not a SHA-256 fingerprint of 64 hexadecimal digits", &short[..60]),
        "openssl x509",
    );
    below(
        20,
        &format!("verify = \"{}\"", &digits[..40]),
        "`verify` is a SHA-1 fingerprint (the \"thumbprint\" of Windows), which is not accepted",
        "-fingerprint -sha256",
    );
    for (kind, article) in [("tcp", "a"), ("http", "an")] {
        errors(
            &replaced(19, &format!("type = \"{kind}\"\nverify = \"full\"")),
            &[(20, &format!("`verify` has no meaning in {article} {kind} check"), "type = \"https\"")],
        );
    }
}
