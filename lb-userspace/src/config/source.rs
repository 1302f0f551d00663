//! The text of a configuration file: reading it within bounds, and finding lines and columns in it.
//!
//! Nothing here knows TOML.

use std::{fs::File, io::Read as _, ops::Range, path::Path};

/// Largest file that is read, in bytes. The largest sensible deployment (thousands of servers) is well below it.
pub const MAX_BYTES: usize = 1 << 20;

/// Why a file is no text that could be parsed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file could not be opened or read.
    #[error("cannot read the configuration {file}: {error}; name a readable file with --config")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is longer than [`MAX_BYTES`].
    #[error("{file} is larger than 1 MiB and was not read; name a caslb configuration, or shorten this one")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file is not UTF-8.
    #[error("{file}:{line}: byte {column} of this line (0x{byte:02x}) is not valid UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Byte within the line, from 1.
        column: usize,
        /// The offending byte.
        byte: u8,
    },
    /// The file begins with a byte order mark.
    #[error("{file}:1: the file begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark {
        /// The file.
        file: String,
    },
    /// The file has a NUL byte.
    #[error("{file}:{line}: byte {column} of this line is NUL; save the file as plain text in UTF-8")]
    Nul {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Byte within the line, from 1.
        column: usize,
    },
}

/// The text of a configuration, with the name it is shown by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// Reads `path`, at most [`MAX_BYTES`].
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large from one that just fits.
        let limit = MAX_BYTES as u64 + 1;
        if let Err(error) = File::open(path).and_then(|opened| opened.take(limit).read_to_end(&mut bytes)) {
            return Err(SourceError::Unreadable { file, error });
        }
        Self::from_bytes(file, &bytes)
    }

    /// Takes `bytes` as the content of the file called `name`.
    pub fn from_bytes(name: String, bytes: &[u8]) -> Result<Self, SourceError> {
        if bytes.len() > MAX_BYTES {
            return Err(SourceError::TooLarge { file: name });
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.valid_up_to();
                let (line, column) = byte_position(bytes, offset);
                let byte = bytes.get(offset).copied().unwrap_or_default();
                return Err(SourceError::NotUtf8 { file: name, line, column, byte });
            }
        };
        if text.starts_with('\u{feff}') {
            return Err(SourceError::ByteOrderMark { file: name });
        }
        if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
            let (line, column) = byte_position(bytes, offset);
            return Err(SourceError::Nul { file: name, line, column });
        }
        Ok(Self { name, text: text.to_owned() })
    }

    /// The name the file is shown by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column, both from 1, the column in characters, of a byte offset. An offset beyond the text counts as
    /// its end.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.boundary(offset);
        let before = self.text.get(..offset).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.matches('\n').count();
        (line, 1 + before.get(start..).unwrap_or_default().chars().count())
    }

    /// `span` cut to the first line it touches, within the text and between characters.
    pub(super) fn within_line(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        let line = self.lines(&(start..start));
        let end = self.boundary(span.end).clamp(start, line.end.max(start));
        start..end
    }

    /// The whole lines that `span` touches, without the last line's end.
    pub(super) fn lines(&self, span: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.boundary(span.start), self.boundary(span.end));
        let start = self.text.get(..first).unwrap_or_default().rfind('\n').map_or(0, |newline| newline + 1);
        let rest = self.text.get(last..).unwrap_or_default();
        let mut end = rest.find('\n').map_or(self.text.len(), |newline| last + newline);
        if end > last && self.text.as_bytes().get(end - 1) == Some(&b'\r') {
            end -= 1;
        }
        start..end.max(start)
    }

    /// The last character boundary at or before `offset`.
    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

/// Line and byte within the line, both from 1.
fn byte_position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or_default();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.split(|byte| *byte == b'\n').count(), 1 + offset - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        Source::from_bytes("caslb.toml".to_owned(), bytes).unwrap_err().to_string()
    }

    #[test]
    fn broken_utf8_is_named_by_line_and_byte() {
        assert_eq!(
            error(b"[node]\nname = \"M\xfcnchen\"\n"),
            "caslb.toml:2: byte 10 of this line (0xfc) is not valid UTF-8; save the file as UTF-8"
        );
    }

    #[test]
    fn what_is_no_plain_text_is_refused() {
        assert!(error(b"\xef\xbb\xbf[node]").contains("byte order mark"));
        assert!(error(b"\xff\xfe[\0").contains("not valid UTF-8"));
        assert!(error(b"a\nb\0").starts_with("caslb.toml:2: byte 2 of this line is NUL"));
        assert!(error(&vec![b'#'; MAX_BYTES + 1]).contains("larger than 1 MiB"));
        assert!(Source::from_bytes(String::new(), &vec![b'#'; MAX_BYTES]).is_ok());
    }

    #[test]
    fn a_file_that_is_missing_or_a_directory_is_unreadable() {
        let missing = Source::read(Path::new("/nonexistent/caslb.toml")).unwrap_err().to_string();
        assert!(
            missing.starts_with("cannot read the configuration /nonexistent/caslb.toml: No such file"),
            "{missing}"
        );
        assert!(matches!(Source::read(Path::new("/")), Err(SourceError::Unreadable { .. })));
    }

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::from_bytes(String::new(), "a\nüb\r\n".as_bytes()).unwrap();
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(4), (2, 2));
        assert_eq!(source.position(99), (3, 1));
        assert_eq!(source.lines(&(2..2)), 2..5);
        assert_eq!(source.within_line(&(0..5)), 0..1);
    }
}
