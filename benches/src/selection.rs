//! Which of a program's measurements are wanted, by the arguments that
//! criterion's programs take.

#![expect(clippy::print_stdout, reason = "a list was asked for")]

/// Those of the names that the arguments want; where only a list was asked
/// for, shows it, and none is wanted.
#[must_use]
pub fn wanted(names: &[&'static str]) -> Vec<&'static str> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let found = matching(names, &args);
    if args.iter().any(|arg| arg == "--list") {
        for name in found {
            println!("{name}: benchmark");
        }
        return Vec::new();
    }
    found
}

/// The names that hold the first argument that is no flag.
fn matching(names: &[&'static str], args: &[String]) -> Vec<&'static str> {
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    let holds = |name: &&&str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    names.iter().filter(holds).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_chosen_by_what_they_hold() {
        let found = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            matching(&["scale/build", "scale/revoke"], &args)
        };
        assert_eq!(found(&["--bench"]), ["scale/build", "scale/revoke"]);
        assert_eq!(found(&["build", "--bench"]), ["scale/build"]);
        assert!(found(&["latency"]).is_empty());
    }
}
