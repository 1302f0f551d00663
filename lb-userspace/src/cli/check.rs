//! `caslb check`: validates a configuration and shows what it comes to, on any machine.
//!
//! It never looks at the host; whether the NICs exist is not its question.

mod json;
mod text;

use std::{
    io::{IsTerminal as _, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;

use crate::config::{self, ConfigError, Loaded};

/// Exit status of a configuration that can't be used.
const BAD_CONFIG: u8 = 2;

/// Validates the file at `config`.
///
/// The resolved deployment goes to standard output, as tables or with `json` as one JSON document; warnings and errors
/// go to standard error. With `json` they are in the document too, which is printed for a bad configuration as well.
/// The exit status is 0, or 2 when the configuration can't be used; an error is one of writing the output.
pub fn run(config: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let stderr = std::io::stderr();
    let colour = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let status = check(config, json, colour, &mut std::io::stdout().lock(), &mut stderr.lock())?;
    Ok(ExitCode::from(status))
}

/// The same with the two streams and the number of the exit status.
fn check(config: &Path, json: bool, colour: bool, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<u8> {
    let result = config::load(config);
    let complaints = match &result {
        Ok(loaded) => loaded.warnings.render(colour),
        Err(error) => error.render(colour),
    };
    if !complaints.is_empty() {
        writeln!(err, "{complaints}").context("cannot write to standard error")?;
    }
    if let Some(text) = output(config, &result, json)? {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
    }
    Ok(if result.is_ok() { 0 } else { BAD_CONFIG })
}

/// What goes to standard output.
fn output(config: &Path, result: &Result<Loaded, ConfigError>, json: bool) -> anyhow::Result<Option<String>> {
    let file = config.display().to_string();
    if json {
        let document = json::document(&file, result);
        let text = serde_json::to_string_pretty(&document).context("cannot write the result as JSON")?;
        return Ok(Some(text + "\n"));
    }
    Ok(result.as_ref().ok().map(|loaded| text::describe(&file, &loaded.deployment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../dist/caslb.toml");

    fn shown(text: &str, json: bool) -> Option<String> {
        output(Path::new("caslb.toml"), &config::parse("caslb.toml", text), json).unwrap()
    }

    #[test]
    fn the_example_is_shown_within_100_columns() {
        let text = shown(EXAMPLE, false).unwrap();
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{text}");
        for part in ["Node default", "Array \"ams\"", "EX03.contoso.com", "10.1.0.100", "counters"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn json_has_the_resolved_deployment() {
        let document: serde_json::Value = serde_json::from_str(&shown(EXAMPLE, true).unwrap()).unwrap();
        assert_eq!(document["valid"], true);
        assert_eq!(document["node"]["name"], "default");
        let service = &document["arrays"][0]["services"][0];
        assert_eq!(service["vip"], "10.1.0.100");
        assert_eq!(service["server_port"], 443);
        assert_eq!(service["announce"], "arp");
        assert_eq!(service["checks"][0]["type"], "https");
        assert_eq!(service["checks"][0]["interval_ms"], 5000);
        assert_eq!(document["arrays"][0]["servers"][1]["address"], "10.1.0.12");
        assert_eq!(document["maps"][0]["name"], "slots");
        assert_eq!(document["diagnostics"], serde_json::json!([]));
    }

    #[test]
    fn json_of_a_bad_configuration_has_its_errors() {
        let document: serde_json::Value =
            serde_json::from_str(&shown("[node]\ninterfaces = []\n", true).unwrap()).unwrap();
        assert_eq!(document["valid"], false);
        let second = &document["diagnostics"][1];
        assert_eq!(second["severity"], "error");
        assert_eq!(second["message"], "`interfaces` is an empty list");
        assert_eq!((&second["line"], &second["column"]), (&2.into(), &14.into()));
        assert!(document.get("node").is_none());
        assert_eq!(shown("[node]", false), None);
    }

    #[test]
    fn a_missing_file_is_an_error_in_json_too() {
        let result = config::load(Path::new("/nonexistent.toml"));
        let document = output(Path::new("/nonexistent.toml"), &result, true).unwrap().unwrap();
        assert!(document.contains("cannot read the configuration"), "{document}");
    }

    #[test]
    fn the_exit_status_tells_a_bad_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let status = |text: &str| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let file = directory.path().join("caslb.toml");
            std::fs::write(&file, text).unwrap();
            let status = check(&file, false, false, &mut out, &mut err).unwrap();
            (status, out.is_empty(), err.is_empty())
        };
        assert_eq!(status(EXAMPLE), (0, false, true));
        assert_eq!(status("[node]"), (2, true, false));
        let few_slots = EXAMPLE.replace("mode = \"dsr\"", "slots = 251");
        assert_eq!(status(&few_slots), (0, false, false), "a warning beside the result");
    }
}
