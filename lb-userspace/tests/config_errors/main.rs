//! Each rule of the configuration: what breaks it gets its message, at its line, with a remedy, and nothing else.
//!
//! A case replaces one line of a good file. Whole renderings are compared in `config_loading.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, in its helper functions too")]

mod array;
mod check;
mod node;
mod service;

use caslb::config::{ConfigError, diagnostic::Severity, parse};

/// A good file. Line 1 is `[node]`; cases count from there.
const GOOD: &str = r#"[node]
interfaces = ["eth0"]
[defaults]
all_down = "keep-last"
[[array]]
name = "ams"
namespaces = ["mail.contoso.com"]
[[array.server]]
name = "EX01"
address = "10.1.0.11"
[[array.server]]
name = "EX02"
address = "10.1.0.12"
[[array.service]]
name = "https"
vip = "10.1.0.100"
port = 443
[[array.service.check]]
type = "https"
port = 443
[[array.service]]
name = "smtp"
vip = "10.1.0.100"
port = 25
"#;

/// Severity, line (0 for none), message, remedy.
type Finding = (Severity, usize, String, String);

fn replaced(line: usize, with: &str) -> String {
    let mut lines: Vec<&str> = GOOD.lines().collect();
    lines[line - 1] = with;
    lines.join("\n") + "\n"
}

fn findings(text: &str) -> Vec<Finding> {
    let report = match parse("caslb.toml", text) {
        Ok(loaded) => loaded.warnings,
        Err(ConfigError::Invalid(report)) => report,
        Err(ConfigError::Source(error)) => panic!("{error}"),
    };
    let finding = |diagnostic: &caslb::config::diagnostic::Diagnostic| {
        let line = report.position(diagnostic).map_or(0, |(line, _)| line);
        (diagnostic.severity, line, diagnostic.message.clone(), diagnostic.remedy.clone())
    };
    report.diagnostics().iter().map(finding).collect()
}

/// Expects these findings and no others: line, the message, a part of the remedy.
#[track_caller]
fn expect(text: &str, severity: Severity, expected: &[(usize, &str, &str)]) {
    let found = findings(text);
    let matches = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, (line, message, remedy))| {
            found.0 == severity && found.1 == *line && found.2 == *message && found.3.contains(remedy)
        });
    assert!(matches, "found {found:#?}\nexpected {expected:#?}\nin\n{text}");
}

#[track_caller]
fn errors(text: &str, expected: &[(usize, &str, &str)]) {
    expect(text, Severity::Error, expected);
}

/// Replaces line `line` by `with`; one error is expected there.
#[track_caller]
fn at(line: usize, with: &str, message: &str, remedy: &str) {
    errors(&replaced(line, with), &[(line, message, remedy)]);
}

/// Adds the line `with` below line `line`; one error is expected there.
#[track_caller]
fn below(line: usize, with: &str, message: &str, remedy: &str) {
    let above = GOOD.lines().nth(line - 1).unwrap();
    errors(&replaced(line, &format!("{above}\n{with}")), &[(line + 1, message, remedy)]);
}

#[test]
fn the_good_file_is_good() {
    assert_eq!(findings(GOOD), []);
}

#[test]
fn the_file_has_a_node_and_an_array() {
    let no_interfaces = (0, "[node] has no `interfaces`", "add it, with interfaces = [\"eth0\"]");
    let no_array = (0, "the file has no [[array]]", "[[array.server]]");
    errors("", &[no_interfaces, no_array]);
    errors("[node]\ninterfaces = [\"eth0\"]\n", &[no_array]);
    errors(
        "node = 1\narray = [1]\n",
        &[
            (1, "`node` must be a table, not a whole number", "write [node] on a line of its own"),
            (2, "`array` must be a list of tables, not of a whole number", "[[array]]"),
        ],
    );
    at(5, "[array]", "`array` must be a list of tables, not a table", "two brackets");
    below(4, "[default]", "unknown key \"default\" in the file", "did you mean `defaults`?");
}

#[test]
fn every_error_of_a_file_is_reported() {
    let text = GOOD.replace("\"eth0\"", "\"\"").replace("443", "0").replace("10.1.0.12", "::1").replace("smtp", "");
    let lines: Vec<usize> = findings(&text).iter().map(|finding| finding.1).collect();
    assert_eq!(lines, [2, 13, 17, 20, 22]);
}

#[test]
fn what_is_no_toml_is_reported_at_its_place() {
    for (text, line) in [("[node\n", 1), ("a = \n", 1), ("[node]\nname = \"x\nb = 1", 2), ("[node]\n[node]\n", 2)] {
        let found = findings(text);
        assert!(
            found.first().is_some_and(|finding| finding.1 == line && finding.2.starts_with("this is not TOML: ")),
            "{found:#?}"
        );
    }
}
