//! Manual pages and completions: made of the command line's own definition, for
//! every command that there is.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tokenkit");

fn output(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below one, by what `--help` lists.
fn below(path: &[&str]) -> Vec<String> {
    let help = output(&[path, &["--help"]].concat());
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let list = list.split("\n\n").next().unwrap();
    let named = list.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    named.collect()
}

/// Every command, its words joined.
fn commands(path: &[&str], found: &mut BTreeSet<String>) {
    found.insert([&["tokenkit"], path].concat().join("-"));
    for name in below(path) {
        commands(&[path, &[name.as_str()]].concat(), found);
    }
}

#[test]
fn every_command_has_a_page() {
    let mut expected = BTreeSet::new();
    commands(&[], &mut expected);
    assert!(expected.contains("tokenkit-key-create"), "{expected:?}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    output(&["man", "--out", pages.to_str().unwrap()]);
    let files = std::fs::read_dir(&pages).unwrap();
    let found = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<_> = found
        .map(|file| file.strip_suffix(".1").unwrap().to_owned())
        .collect();
    assert_eq!(found, expected);
    for name in found {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        for part in [".TH", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(part), "{name} has no {part}");
        }
    }
    let own = std::fs::read_to_string(pages.join("tokenkit.1")).unwrap();
    assert_eq!(output(&["man"]), own);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = Command::new(PROGRAM)
        .args(["man", "--out", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("name another folder"), "{said}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = output(&["completions", shell]);
        for word in ["completions", "revoke", "admin-listen"] {
            assert!(script.contains(word), "{shell} has no {word}");
        }
    }
}

#[test]
fn bash_takes_its_completions() {
    let script = output(&["completions", "bash"]);
    let asked = "
        COMP_WORDS=(tokenkit ses); COMP_CWORD=1
        _tokenkit tokenkit ses tokenkit
        echo \"${COMPREPLY[*]}\"";
    let ran = Command::new("bash")
        .args(["-c", &format!("{script}\n{asked}")])
        .stderr(Stdio::inherit())
        .output();
    match ran {
        Ok(ran) => assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), "session"),
        Err(missing) => eprintln!("skipped: no bash ({missing})"),
    }
}
