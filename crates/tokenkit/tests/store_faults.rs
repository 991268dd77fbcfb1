//! A disk that fails or is full, at each write to the data folder in turn: what
//! was acknowledged is there, what was there before stays, nothing is half
//! there, and the operator is told in one line.
#![cfg(target_os = "linux")]

mod cli_support;
mod failing_calls;

use std::path::{Path, PathBuf};

use cli_support::{Place, Ran, json};
use engine::SecretKey;
use failing_calls::FailingCalls;

/// More calls than any command here makes.
const MOST_CALLS: u32 = 200;
/// How a call fails, and what the operator is told of it, if anything.
const HOW: [(&str, &str); 6] = [
    ("once", "fails or is full|Input/output error"),
    ("failing", "fails or is full|Input/output error"),
    ("full", "is full|No space left"),
    ("half", "is full|No space left"),
    ("readonly", "fails or is full|Read-only file system"),
    ("syncs", "fails or is full|Input/output error"),
];

/// Runs a command in a place where a call fails; and whether it came to it.
fn run(
    failing: &FailingCalls,
    place: &Place,
    (how, at): (&str, u32),
    arguments: &[&str],
) -> (Ran, bool) {
    let mark = failing.mark();
    let _ = std::fs::remove_file(&mark);
    let mut command = place.command(arguments);
    failing.load(&mut command);
    let output = command
        .env("FAIL_AT", at.to_string())
        .env("FAIL_HOW", how)
        .env("FAIL_MARK", &mark)
        .output()
        .unwrap();
    (output.into(), mark.exists())
}

/// Runs a command, each time in a new copy of a folder, in which another call
/// fails; `check` looks at what is there afterwards.
fn at_each_call(from: Option<&Place>, arguments: &[&str], check: impl Fn(&Place, &Ran, &str)) {
    let failing = FailingCalls::build();
    for (how, told) in HOW {
        let mut refused = 0;
        for at in 1.. {
            assert!(at < MOST_CALLS, "the calls never end");
            let place = in_memory();
            if let Some(from) = from {
                copy(&from.path("tokenkit-data"), &place.path("tokenkit-data"));
            }
            let (ran, failed) = run(&failing, &place, (how, at), arguments);
            let what = format!("call {at} fails ({how}): {ran:?}");
            match ran.code {
                Some(0) => assert_eq!(ran.err, "", "{what}"),
                Some(2) => {
                    refused += 1;
                    let line = ran.err.strip_suffix('\n').expect(&what);
                    assert!(!line.contains('\n') && ran.out.is_empty(), "{what}");
                    assert!(told.split('|').any(|told| line.contains(told)), "{what}");
                }
                _ => panic!("{what}"),
            }
            check(&place, &ran, &what);
            if !failed {
                assert_eq!(ran.code, Some(0), "{what}");
                break;
            }
        }
        assert!(refused > 0, "no call failed the command ({how})");
    }
}

/// A place where nothing waits for a disk, if there is one: the calls are the
/// same.
fn in_memory() -> Place {
    let folder = tempfile::tempdir_in("/dev/shm");
    folder.map_or_else(|_| Place::new(), |folder| Place { folder })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What a command lists: id and state of each.
fn listed(place: &Place, list: &[&str]) -> Vec<(String, String)> {
    let all = json(&place.ok(list));
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
    let all = all.as_array().unwrap().iter();
    all.map(|one| (text(one, "id"), text(one, "state")))
        .collect()
}

/// The keys of a place.
fn keys(place: &Place) -> Vec<(String, String)> {
    listed(place, &["key", "list", "--json"])
}

/// The states of what a command lists.
fn states(place: &Place, list: &[&str]) -> Vec<String> {
    let listed = listed(place, list).into_iter();
    listed.map(|(_, state)| state).collect()
}

#[test]
fn a_key_that_was_shown_is_there() {
    let before = Place::new();
    let (first, _) = before.key();
    let create = ["key", "create", "--project", "p2", "--limit", "5", "--json"];
    at_each_call(Some(&before), &create, |place, ran, what| {
        let keys = keys(place);
        assert_eq!(keys[0], (first.clone(), "active".into()), "{what}");
        if ran.code == Some(0) {
            let id = json(&ran.out)["id"].as_str().unwrap().to_owned();
            assert_eq!(keys[1..], [(id.clone(), "active".into())], "{what}");
            assert_eq!(place.show(&id)["hourly_limit"], 5, "{what}");
        } else {
            assert!(keys.len() <= 2, "{what}");
        }
        // And the store goes on.
        place.key();
    });
}

#[test]
fn a_revocation_that_was_acknowledged_holds() {
    let before = Place::new();
    let (first, _) = before.key();
    let (second, _) = before.key();
    at_each_call(
        Some(&before),
        &["key", "revoke", &first, &second],
        |place, ran, what| {
            let states = states(place, &["key", "list", "--json"]);
            // Both or none.
            assert_eq!(states[0], states[1], "{what}");
            if ran.code == Some(0) {
                assert_eq!(states, ["revoked", "revoked"], "{what}");
            }
            place.ok(&["key", "revoke", &first, &second]);
        },
    );
}

#[test]
fn a_limit_that_was_lowered_is_so() {
    let before = Place::new();
    let (id, _) = before.key();
    let was = before.show(&id)["hourly_limit"].clone();
    let set = ["key", "set", &id, "--limit", "7"];
    at_each_call(Some(&before), &set, |place, ran, what| {
        let limit = &place.show(&id)["hourly_limit"];
        assert!(
            *limit == 7 || (ran.code == Some(2) && *limit == was),
            "{limit}: {what}"
        );
        place.ok(&set);
    });
}

#[test]
fn a_session_that_was_shown_is_there_and_one_that_was_ended_is_gone() {
    let sessions = |place: &Place| states(place, &["session", "list", "--json"]);
    let before = Place::new();
    before.key();
    let create = [
        "session",
        "create",
        "--project",
        "p1",
        "--user",
        "u1",
        "--json",
    ];
    at_each_call(Some(&before), &create, |place, ran, what| {
        let made = sessions(place);
        assert!(
            made.len() == 1 || (ran.code == Some(2) && made.is_empty()),
            "{what}"
        );
        place.ok(&create);
    });
    let id = json(&before.ok(&create))["id"].as_str().unwrap().to_owned();
    let end = ["session", "end", &id];
    at_each_call(Some(&before), &end, |place, ran, what| {
        let states = sessions(place);
        assert!(
            states == ["ended"] || (ran.code == Some(2) && states == ["active"]),
            "{states:?}: {what}"
        );
        place.ok(&end);
    });
}

#[test]
fn an_admin_token_that_was_revoked_is_so() {
    let tokens = |place: &Place| states(place, &["admin", "token", "list", "--json"]);
    let before = Place::new();
    before.key();
    let create = [
        "admin", "token", "create", "--name", "t", "--scope", "read", "--json",
    ];
    let id = json(&before.ok(&create))["id"].as_str().unwrap().to_owned();
    at_each_call(Some(&before), &create, |place, ran, what| {
        let made = tokens(place).len();
        assert!(made == 2 || (ran.code == Some(2) && made == 1), "{what}");
    });
    let revoke = ["admin", "token", "revoke", &id];
    at_each_call(Some(&before), &revoke, |place, ran, what| {
        let states = tokens(place);
        assert!(
            states == ["revoked"] || (ran.code == Some(2) && states == ["active"]),
            "{states:?}: {what}"
        );
        place.ok(&revoke);
    });
}

#[test]
fn a_first_start_that_failed_leaves_nothing_in_the_way() {
    at_each_call(
        None,
        &["key", "create", "--project", "p1", "--json"],
        |place, ran, what| {
            if ran.code == Some(0) {
                assert_eq!(keys(place).len(), 1, "{what}");
            }
            let (id, _) = place.key();
            assert_eq!(keys(place).last(), Some(&(id, "active".into())), "{what}");
            let left = leftovers(&place.path("tokenkit-data"));
            assert!(left.is_empty(), "{what}: {left:?}");
        },
    );
}

#[test]
fn an_import_is_whole_or_was_not() {
    let before = Place::new();
    before.key();
    let mut rows = String::from("key,project\n");
    for _ in 0..20 {
        let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        rows.push_str(&format!("{},p2\n", key.expose()));
    }
    before.write("keys.csv", rows);
    let file = before.path("keys.csv");
    let import = ["key", "import", file.to_str().unwrap()];
    at_each_call(Some(&before), &import, |place, ran, what| {
        let keys = keys(place).len();
        assert!(
            keys == 21 || (ran.code == Some(2) && keys == 1),
            "{keys} keys: {what}"
        );
    });
}

/// Files that nobody asked for.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            !name.starts_with("tokenkit.")
        })
        .collect()
}
