//! The text of `tokenkit config`: every setting with what it does and its
//! default, as a file that can be used as it is.

use std::fmt::Write;

use super::Settings;
use super::sources::FLAGS;
use super::table::{ROWS, Row};

const HEAD: &str = "\
# The settings of tokenkit, each with its default.
#
# A flag beats the environment, which beats this file, which beats the default.
# The file is named by --config or TOKENKIT_CONFIG; else tokenkit.toml is read
# where there is one. Every setting has a variable, named beside it (lists are
# separated by commas), and can be given as --set section.name=value.
";

/// Examples of what is empty by default, a list of tables each.
const EXAMPLES: [(&str, &str); 2] = [("routes", ROUTE), ("shadow", SHADOW)];

const ROUTE: &str = "\
#
# [[routes]]
# methods = [\"POST\", \"DELETE\"]
# path = \"/v1/**\"
# needs_user = true
# cost = 5
";

const SHADOW: &str = "\
#
# [[shadow]]
# project = \"p1\"
# reasons = [\"hourly_limit\"]
";

/// All settings with their defaults, as TOML.
pub(crate) fn describe() -> String {
    let defaults = Settings::default();
    let mut text = String::from(HEAD);
    let mut section = None;
    for row in ROWS {
        if row.section() != section {
            section = row.section();
            if let Some(section) = section {
                let _ = write!(text, "\n[{section}]");
            }
        }
        text.push('\n');
        for line in row.doc.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "# {}", elsewhere(row));
        if row.section().is_some() {
            let _ = writeln!(text, "{} = {}", row.key(), (row.show)(&defaults));
        } else if let Some((_, example)) = EXAMPLES.iter().find(|(name, _)| *name == row.name) {
            text.push_str(example);
        }
    }
    text
}

/// Settings as a file that reads as them.
pub(crate) fn as_file(settings: &Settings) -> String {
    let mut text = String::new();
    let (lists, sections): (Vec<_>, Vec<_>) = ROWS.iter().partition(|row| row.section().is_none());
    let mut section = None;
    for row in lists.into_iter().chain(sections) {
        if row.section() != section {
            section = row.section();
            let _ = writeln!(text, "[{}]", section.unwrap_or_default());
        }
        let _ = writeln!(text, "{} = {}", row.key(), (row.show)(settings));
    }
    text
}

/// How else a setting can be given.
fn elsewhere(row: &Row) -> String {
    let variable = row.variable();
    match FLAGS.iter().find(|(_, name)| *name == row.name) {
        Some((flag, _)) => format!("(--{flag}, {variable})"),
        None => format!("({variable})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::sources::Sources;

    #[test]
    fn what_is_printed_reads_as_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.toml");
        std::fs::write(&file, describe()).unwrap();
        let read = Sources::new(Some(file), Vec::new()).read(&[]).unwrap();
        let defaults = Settings::default();
        for row in ROWS {
            assert_eq!((row.show)(&read), (row.show)(&defaults), "{}", row.name);
            assert!(row.doc.lines().all(|line| line.len() <= 78), "{}", row.name);
        }
    }

    #[test]
    fn every_setting_stands_in_it_once_and_is_read_from_it() {
        let text = describe();
        for row in ROWS.iter().filter(|row| row.section().is_some()) {
            let line = format!("\n{} = {}\n", row.key(), (row.show)(&Settings::default()));
            assert!(text.contains(&line), "{}", row.name);
            assert_eq!(
                text.matches(&format!("{})", row.variable())).count(),
                1,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn each_list_of_tables_has_an_example_that_is_one() {
        let lists = ROWS.iter().filter(|row| row.section().is_none());
        assert_eq!(lists.count(), EXAMPLES.len());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("examples.toml");
        let examples = EXAMPLES.map(|(_, example)| example).concat();
        std::fs::write(&file, examples.replace("# ", "").replace('#', "")).unwrap();
        let read = Sources::new(Some(file), Vec::new()).read(&[]).unwrap();
        assert_eq!(read.shadow.len(), 1);
        assert_eq!(read.routes.len(), 1);
        assert_eq!((read.routes[0].needs_user, read.routes[0].cost), (true, 5));
        assert_eq!(
            read.routes[0].methods,
            [http::Method::POST, http::Method::DELETE]
        );
    }
}
