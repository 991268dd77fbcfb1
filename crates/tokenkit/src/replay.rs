//! `tokenkit replay`: runs trace files against a fresh engine each, with the
//! trace's own clock, and says which steps are not decided as they expect.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use trace::{EngineSubject, Report, Totals, Trace, replay};

use crate::error::{EXIT_OPERATOR, OperatorError};

/// Replays every file, in order; prints each step that differs and then one
/// line for all of them. A file that is no trace is named on `err`, and the
/// others are replayed nonetheless.
///
/// The exit code is 0 if no step differs, 1 if one does, and 2 if a file could
/// not be read or is no trace, whatever the others did.
///
/// # Errors
///
/// Those of writing to `out`.
pub(crate) fn run(
    files: &[PathBuf],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<ExitCode> {
    let mut totals = Totals::default();
    let mut all_read = true;
    for file in files {
        match replay_file(file) {
            Ok(report) => {
                report.write_differing(&file.display().to_string(), out)?;
                totals.add(&report);
            }
            Err(error) => {
                all_read = false;
                // Where nobody reads it, the exit code still says it.
                let _ = writeln!(err, "tokenkit: {error}");
            }
        }
    }
    writeln!(out, "{totals}")?;
    Ok(if !all_read {
        ExitCode::from(EXIT_OPERATOR)
    } else if totals.differing > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn replay_file(file: &Path) -> Result<Report, OperatorError> {
    let shown = file.display();
    let json = std::fs::read(file).map_err(|error| OperatorError::wrap(&shown, error))?;
    let trace = Trace::parse(&json).map_err(|error| OperatorError::wrap(&shown, error))?;
    replay::<EngineSubject>(&trace).map_err(|error| OperatorError::wrap(&shown, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = r#"{"at": 1, "request": {"ip": "::1"}, "expect": {"status": STATUS}}"#;

    /// Replays files of these texts: the exit code, and what was printed.
    fn replayed(texts: &[&str]) -> (ExitCode, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..texts.len())
            .map(|i| dir.path().join(format!("{i}.json")))
            .collect();
        for (file, text) in files.iter().zip(texts) {
            std::fs::write(file, text).unwrap();
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&files, &mut out, &mut err).unwrap();
        let text = |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&format!("{}/", dir.path().display()), "")
        };
        (code, text(out), text(err))
    }

    fn trace(status: &str) -> String {
        format!(
            r#"{{"trace": 1, "steps": [{}]}}"#,
            STEP.replace("STATUS", status)
        )
    }

    #[test]
    fn what_agrees_is_0() {
        let (code, out, err) = replayed(&[&trace("401"), &trace("401")]);
        assert_eq!(code, ExitCode::SUCCESS);
        assert_eq!(out, "2 traces, 2 steps: none differs\n");
        assert_eq!(err, "");
    }

    #[test]
    fn what_differs_is_printed_and_1() {
        let (code, out, err) = replayed(&[&trace("401"), &trace("200")]);
        assert_eq!(code, ExitCode::FAILURE);
        assert_eq!(
            out,
            "1.json: step 1 at 1 differs\n  status: expected 200, got 401\n2 traces, 2 steps: 1 differs\n"
        );
        assert_eq!(err, "");
    }

    #[test]
    fn what_is_no_trace_is_named_and_2() {
        let bad_window = r#"{"trace": 1, "config": {"failures": {"window_s": 7}}, "steps": []}"#;
        let (code, out, err) = replayed(&[&trace("200"), "{", bad_window]);
        assert_eq!(code, ExitCode::from(2));
        assert!(out.contains("0.json: step 1"), "{out}");
        assert!(out.ends_with("1 trace, 1 step: 1 differs\n"), "{out}");
        let lines: Vec<&str> = err.lines().collect();
        assert!(lines[0].starts_with("tokenkit: 1.json: "), "{err}");
        assert!(lines[1].starts_with("tokenkit: 2.json: config"), "{err}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_missing_file_is_2() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&["no/such.json".into()], &mut out, &mut err).unwrap();
        assert_eq!(code, ExitCode::from(2));
        assert!(String::from_utf8(err).unwrap().contains("no/such.json"));
    }
}
