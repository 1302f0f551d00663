//! What the documents say is what the program does: their examples load, and nothing a user can see is missing.

use std::path::Path;

use caslb::{cli::Cli, config::parse};
use clap::CommandFactory as _;
use lb_common::{Reason, verdict::Action};

const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The documents, with the folder their links start from.
const DOCUMENTS: [(&str, &str, &str); 3] = [
    ("README.md", "", README),
    ("docs/operations.md", "docs", OPERATIONS),
    ("docs/config.md", "docs", include_str!("../../docs/config.md")),
];

#[test]
fn configurations_in_the_documents_load_without_a_warning() {
    let mut loaded = 0;
    for (name, _, text) in DOCUMENTS {
        for block in text.split("```toml\n").skip(1) {
            let (block, _) = block.split_once("```").unwrap();
            let deployment = parse(name, block).unwrap_or_else(|error| panic!("{name}:\n{error}"));
            assert_eq!(deployment.warnings.diagnostics(), [], "{name}");
            loaded += 1;
        }
    }
    assert!(loaded >= 3, "{loaded}");
}

#[test]
fn every_reason_is_explained_with_what_becomes_of_the_packet() {
    for reason in Reason::ALL {
        let row = OPERATIONS.lines().find_map(|line| line.strip_prefix(&format!("| `{}` | ", reason.name())));
        let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row for `{}`", reason.name()));
        let becomes: &[&str] = match reason.action() {
            Action::Send => &["answered", "sent"],
            Action::Pass => &["passed"],
            Action::Drop => &["dropped"],
        };
        let said = row.split(" | ").next().unwrap();
        assert!(becomes.contains(&said), "`{}` is {becomes:?}, not {said}", reason.name());
    }
}

#[test]
fn every_command_stands_in_the_readme_with_its_options() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        let start = format!("| `caslb {}", command.get_name());
        let row = README.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for caslb {}", command.get_name()));
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let words = match argument.get_long() {
                // Explained below the table, for all commands.
                Some("node" | "help" | "version") => continue,
                Some(long) => vec![format!("--{long}")],
                None => argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
            };
            for word in words {
                assert!(row.contains(&word), "{word} in {row}");
            }
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (name, folder, text) in DOCUMENTS {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("https://") {
                assert!(root.join(folder).join(link).is_file(), "{name} links to {link}");
            }
        }
    }
}
