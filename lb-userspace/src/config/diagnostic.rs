//! What is wrong with a configuration, where, and what to do about it; and how that is shown.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::source::Source;

/// How many diagnostics are rendered; a file that has more is not a caslb configuration.
const MAX_RENDERED: usize = 100;

/// Longest piece of the file that a message repeats, in characters.
const MAX_QUOTED: usize = 60;

/// Bytes of the text that a diagnostic is about.
pub type Span = Range<usize>;

/// Whether a diagnostic forbids the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration is used; something in it is probably not meant.
    Warning,
}

/// One finding about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it forbids the configuration.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where; nothing when the whole file is meant.
    pub span: Option<Span>,
    /// Another place that the message is about, with what stands there.
    pub related: Option<(Span, &'static str)>,
    /// What to do.
    pub remedy: String,
}

/// The findings about one text, as they are made.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Diagnostic>);

impl Findings {
    /// Adds an error about `span`.
    pub(super) fn error(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Severity::Error, span.into(), None, message.into(), remedy.into());
    }

    /// Adds an error about `span` that has to do with `related` as well.
    pub(super) fn conflict(
        &mut self,
        span: Span,
        related: (Span, &'static str),
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Severity::Error, Some(span), Some(related), message.into(), remedy.into());
    }

    /// Adds a warning about `span`.
    pub(super) fn warning(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(Severity::Warning, span.into(), None, message.into(), remedy.into());
    }

    /// Whether anything forbids the configuration.
    pub(super) fn forbid(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The findings in the order of the text, those about the whole file first.
    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort_by_key(|diagnostic| diagnostic.span.as_ref().map(|span| span.start));
        self.0
    }

    fn push(
        &mut self,
        severity: Severity,
        span: Option<Span>,
        related: Option<(Span, &'static str)>,
        message: String,
        remedy: String,
    ) {
        self.0.push(Diagnostic { severity, message, span, related, remedy });
    }
}

/// Diagnostics with the text they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    source: Source,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(super) fn new(source: Source, findings: Findings) -> Self {
        Self { source, diagnostics: findings.into_sorted() }
    }

    /// The text.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The diagnostics in the order of the text.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Line and column of `diagnostic`, both from 1.
    pub fn position(&self, diagnostic: &Diagnostic) -> Option<(usize, usize)> {
        diagnostic.span.as_ref().map(|span| self.source.position(span.start))
    }

    /// The diagnostics as text for a terminal, a blank line between two; `colour` adds ANSI sequences.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut blocks: Vec<String> = self
            .diagnostics
            .iter()
            .take(MAX_RENDERED)
            .map(|diagnostic| render_one(&self.source, diagnostic, &renderer))
            .collect();
        if let Some(more) = self.diagnostics.len().checked_sub(MAX_RENDERED).filter(|more| *more > 0) {
            blocks.push(format!("and {more} more in {}", self.source.name()));
        }
        blocks.join("\n\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

fn render_one(source: &Source, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let group = match &diagnostic.span {
        None => Group::with_title(title).element(Origin::path(source.name())),
        Some(span) => title.element(snippet(source, span, diagnostic.related.as_ref())),
    };
    renderer.render(&[group.element(Level::HELP.message(diagnostic.remedy.as_str()))])
}

/// The lines around `span` alone: cutting them out here keeps a long report from scanning the whole text again and again.
fn snippet<'a>(
    source: &'a Source,
    span: &Span,
    related: Option<&(Span, &'static str)>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let span = source.within_line(span);
    let related = related.map(|(place, label)| (source.within_line(place), *label));
    let mut shown = source.lines(&span);
    if let Some((place, _)) = &related {
        let place = source.lines(place);
        shown = shown.start.min(place.start)..shown.end.max(place.end);
    }
    let base = shown.start;
    let (line, _) = source.position(base);
    let mut snippet = Snippet::source(source.text().get(shown).unwrap_or_default())
        .path(source.name())
        .line_start(line)
        .annotation(AnnotationKind::Primary.span(span.start - base..span.end - base));
    if let Some((place, label)) = related {
        let annotation = AnnotationKind::Context.span(place.start - base..place.end - base).label(label);
        snippet = snippet.annotation(annotation);
    }
    snippet
}

/// A piece of the file as messages repeat it: in quotes, escaped, shortened when it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
    }
}
