//! The configuration file: its text, its raw shape, validation, and the deployment that comes out.
//!
//! The way runs forward: `source` reads the text, `raw` takes the keys with their types (by `fields` and `typed`),
//! `validate` applies every rule, [`deployment`] is the result. All errors of a file are reported at once. Nothing here
//! looks at the host: a file can be checked on any machine.

mod addresses;
pub mod deployment;
pub mod diagnostic;
mod fields;
mod names;
mod raw;
pub mod source;
mod suggest;
mod typed;
pub mod units;
mod validate;
pub mod words;

use std::path::Path;

use toml::de::DeTable;

use self::{
    deployment::Deployment,
    diagnostic::{Diagnostic, Findings, Report},
    source::{Source, SourceError},
};

/// What to do about a text that is no TOML.
const TOML_REMEDY: &str = "correct the line; text stands in double quotes, lists in brackets \
                           (https://toml.io has the syntax)";

/// A configuration that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the file asks for.
    pub deployment: Deployment,
    /// What is allowed, but probably not meant.
    pub warnings: Report,
}

/// Why a configuration can't be used. Its text is complete: the place, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no text to parse.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The text breaks rules; warnings are among the diagnostics too.
    #[error("{0}")]
    Invalid(Report),
}

impl ConfigError {
    /// The error as text for a terminal; `colour` adds ANSI sequences.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Source(error) => format!("error: {error}"),
            Self::Invalid(report) => report.render(colour),
        }
    }

    /// The single findings, where there was a text to find them in.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Source(_) => &[],
            Self::Invalid(report) => report.diagnostics(),
        }
    }
}

/// Reads and validates the file at `path`.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    from_source(Source::read(path)?)
}

/// Validates `text`, the content of a file shown as `file_name`.
pub fn parse(file_name: &str, text: &str) -> Result<Loaded, ConfigError> {
    from_source(Source::from_bytes(file_name.to_owned(), text.as_bytes())?)
}

fn from_source(source: Source) -> Result<Loaded, ConfigError> {
    let mut findings = Findings::default();
    let deployment = {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        if errors.is_empty() {
            let file = raw::RawFile::read(table.get_ref(), &mut findings);
            validate::validate(&file, &mut findings)
        } else {
            // What a text that is no TOML means is not guessed at.
            for error in errors {
                findings.error(error.span(), not_toml(error.message()), TOML_REMEDY);
            }
            None
        }
    };
    let report = Report::new(source, findings);
    match deployment {
        Some(deployment) => Ok(Loaded { deployment, warnings: report }),
        None => Err(ConfigError::Invalid(report)),
    }
}

/// The parser's message on one line.
fn not_toml(message: &str) -> String {
    format!("this is not TOML: {}", message.trim().replace('\n', ", "))
}
