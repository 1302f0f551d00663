//! Taking typed values out of a table of the file.
//!
//! serde would stop at the first surprise; here every value of the wrong type and every unknown key of the file is
//! reported, each at its place, and reading goes on. What the values mean is not known here.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Findings, Span, quoted},
    suggest::closest,
    typed::{Unfit, Value, integer, kind, list, port, text},
};

/// The value of one key.
#[derive(Clone, Debug)]
pub(super) enum Field<T> {
    /// The key is not there.
    Absent,
    /// The key is there; that its value can't be used has been reported.
    Reported,
    /// The value.
    Given(Spanned<T>),
}

impl<T> Field<T> {
    /// Where the value is, when there is a usable one.
    pub(super) fn given_span(&self) -> Option<Span> {
        match self {
            Self::Given(value) => Some(value.span()),
            Self::Absent | Self::Reported => None,
        }
    }
}

/// The tables under one key, `[[like.this]]`.
#[derive(Debug)]
pub(super) struct Listed<T> {
    /// Those that are tables.
    pub(super) items: Vec<T>,
    /// Whether something under the key has been reported.
    pub(super) reported: bool,
}

impl<T> Listed<T> {
    /// The same with each table read.
    pub(super) fn map<U>(self, read: impl FnMut(T) -> U) -> Listed<U> {
        Listed { items: self.items.into_iter().map(read).collect(), reported: self.reported }
    }
}

/// One table of the file, while its keys are taken.
pub(super) struct Fields<'t, 'i> {
    /// The table as the file writes it, such as `[node]`.
    title: &'static str,
    span: Option<Span>,
    content: Content<'t, 'i>,
    asked: Vec<&'static str>,
}

enum Content<'t, 'i> {
    Absent,
    Reported,
    Table(&'t DeTable<'i>),
}

impl<'t, 'i> Fields<'t, 'i> {
    /// The whole file.
    pub(super) fn of_file(table: &'t DeTable<'i>) -> Self {
        Self { title: "the file", span: None, content: Content::Table(table), asked: Vec::new() }
    }

    /// Where the table is, when it is in the file.
    pub(super) fn span(&self) -> Option<Span> {
        self.span.clone()
    }

    /// The table under `key`, empty when there is none.
    pub(super) fn table(&mut self, key: &'static str, title: &'static str, findings: &mut Findings) -> Self {
        let (span, content) = match self.ask(key) {
            Asked::Absent => (None, Content::Absent),
            Asked::Reported => (None, Content::Reported),
            Asked::Value(value) => match value.get_ref() {
                DeValue::Table(table) => (Some(value.span()), Content::Table(table)),
                other => {
                    let message = format!("`{key}` must be a table, not {}", kind(other));
                    findings.error(value.span(), message, format!("write {title} on a line of its own"));
                    (Some(value.span()), Content::Reported)
                }
            },
        };
        Self { title, span, content, asked: Vec::new() }
    }

    /// The tables under `key`.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        title: &'static str,
        findings: &mut Findings,
    ) -> Listed<Fields<'t, 'i>> {
        let value = match self.ask(key) {
            Asked::Absent => {
                return Listed { items: Vec::new(), reported: false };
            }
            Asked::Reported => {
                return Listed { items: Vec::new(), reported: true };
            }
            Asked::Value(value) => value,
        };
        let mut listed = Listed { items: Vec::new(), reported: false };
        let remedy = format!("write {title} on a line of its own, with two brackets");
        let DeValue::Array(values) = value.get_ref() else {
            let message = format!("`{key}` must be a list of tables, not {}", kind(value.get_ref()));
            findings.error(value.span(), message, remedy);
            return Listed { reported: true, ..listed };
        };
        for value in values {
            if let DeValue::Table(table) = value.get_ref() {
                let content = Content::Table(table);
                listed.items.push(Self { title, span: Some(value.span()), content, asked: Vec::new() });
            } else {
                let message = format!("`{key}` must be a list of tables, not of {}", kind(value.get_ref()));
                findings.error(value.span(), message, remedy.clone());
                listed.reported = true;
            }
        }
        listed
    }

    /// A string. `example` is a value that would do, as the file writes it.
    pub(super) fn text(&mut self, key: &'static str, example: &str, findings: &mut Findings) -> Field<String> {
        self.take(key, example, findings, |value| text(value).ok_or(Unfit::Type { expected: "a string" }))
    }

    /// A whole number.
    pub(super) fn integer(&mut self, key: &'static str, example: &str, findings: &mut Findings) -> Field<i64> {
        self.take(key, example, findings, |value| integer(value, key))
    }

    /// A port; the ranges of ports that are to come are refused as such.
    pub(super) fn port(&mut self, key: &'static str, example: &str, findings: &mut Findings) -> Field<i64> {
        self.take(key, example, findings, |value| port(value, key, example))
    }

    /// A list of strings.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        example: &str,
        findings: &mut Findings,
    ) -> Field<Vec<Spanned<String>>> {
        self.take(key, example, findings, |value| list(value, "a list of strings", text))
    }

    /// A string, or a list of strings.
    pub(super) fn text_or_texts(
        &mut self,
        key: &'static str,
        example: &str,
        findings: &mut Findings,
    ) -> Field<Vec<Spanned<String>>> {
        self.take(key, example, findings, |value| match text(value) {
            Some(text) => Ok(vec![Spanned::new(value.span(), text)]),
            None => list(value, "a string, or a list of strings", text),
        })
    }

    /// A list of whole numbers.
    pub(super) fn integers(
        &mut self,
        key: &'static str,
        example: &str,
        findings: &mut Findings,
    ) -> Field<Vec<Spanned<i64>>> {
        self.take(key, example, findings, |value| {
            list(value, "a list of whole numbers", |value| integer(value, key).ok())
        })
    }

    /// Ends the taking: every key that was not asked for is reported. `not_yet` names keys of the full product that
    /// this version does not do, with what to do instead.
    pub(super) fn finish(self, not_yet: &[(&str, &str)], findings: &mut Findings) {
        let Content::Table(table) = self.content else {
            return;
        };
        for key in table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            if let Some((_, remedy)) = not_yet.iter().find(|(known, _)| *known == name) {
                let message = format!("`{name}` in {} is not supported by this version yet", self.title);
                findings.error(key.span(), message, *remedy);
                continue;
            }
            let remedy = match closest(name, self.asked.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("remove it; the keys of {} are {}", self.title, self.asked.join(", ")),
            };
            findings.error(key.span(), format!("unknown key {} in {}", quoted(name), self.title), remedy);
        }
    }

    fn ask(&mut self, key: &'static str) -> Asked<'t, 'i> {
        self.asked.push(key);
        match self.content {
            Content::Absent => Asked::Absent,
            Content::Reported => Asked::Reported,
            Content::Table(table) => table.get(key).map_or(Asked::Absent, Asked::Value),
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        example: &str,
        findings: &mut Findings,
        read: impl FnOnce(&Value<'i>) -> Result<T, Unfit>,
    ) -> Field<T> {
        let value = match self.ask(key) {
            Asked::Absent => return Field::Absent,
            Asked::Reported => return Field::Reported,
            Asked::Value(value) => value,
        };
        let like = || format!("write it like {key} = {example}");
        let (span, message, remedy) = match read(value) {
            Ok(read) => return Field::Given(Spanned::new(value.span(), read)),
            Err(Unfit::Because { message, remedy }) => (value.span(), message, remedy),
            Err(Unfit::Type { expected }) => {
                (value.span(), format!("`{key}` must be {expected}, not {}", kind(value.get_ref())), like())
            }
            Err(Unfit::Item { span, expected, kind }) => {
                (span, format!("`{key}` must be {expected}, and this is {kind}"), like())
            }
        };
        findings.error(span, message, remedy);
        Field::Reported
    }
}

enum Asked<'t, 'i> {
    Absent,
    Reported,
    Value(&'t Value<'i>),
}
