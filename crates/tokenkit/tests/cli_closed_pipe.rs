//! The program's output goes to somebody who has stopped to read: its exit code
//! is what it would have been.

mod cli_support;

use std::process::Stdio;

use cli_support::Place;
use engine::SecretKey;

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// The exit code of a run whose standard output nobody reads.
fn unread(place: &Place, arguments: &[&str]) -> Option<i32> {
    let mut command = place.command(arguments);
    let ran = command.stdout(closed()).stderr(Stdio::null()).status();
    ran.unwrap().code()
}

/// A key made elsewhere.
fn raw() -> SecretKey {
    SecretKey::generate(&"tk_live".parse().unwrap()).unwrap()
}

#[test]
fn what_is_refused_stays_refused() {
    let place = Place::new();
    let (id, _) = place.key();
    let allowed = ["explain", "--ip", "::1", "--key-id", &id];
    assert_eq!(unread(&place, &allowed), Some(0));
    assert_eq!(unread(&place, &["explain", "--ip", "::1"]), Some(1));
}

#[test]
fn an_import_is_made_and_says_that_rows_were_bad() {
    for nobody_reads in ["output", "errors"] {
        let place = Place::new();
        let good = raw();
        let bad = "nonsense,p1\n".repeat(200);
        place.write(
            "keys.csv",
            format!("key,project\n{bad}{},p1\n", good.expose()),
        );
        let ended = |arguments: &[&str]| {
            let mut command = place.command(arguments);
            match nobody_reads {
                "output" => command.stdout(closed()).stderr(Stdio::null()),
                _ => command.stdout(Stdio::null()).stderr(closed()),
            };
            command.status().unwrap().code()
        };
        assert_eq!(ended(&["key", "import", "keys.csv"]), Some(1));
        assert_eq!(place.ok(&["key", "list", "--json"]), "[]\n");
        let keep_going = ["key", "import", "--keep-going", "keys.csv"];
        assert_eq!(ended(&keep_going), Some(1), "{nobody_reads}");
        assert_eq!(place.show(&good.id().to_string())["state"], "active");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn damage_stays_damage() {
    use std::os::unix::fs::FileExt;
    let place = Place::new();
    let path = place.path("counts");
    let engine = engine::Engine::builder(engine::ServerSecret::from_bytes([7; 32]));
    drop(engine.ledger(&path).build().unwrap());
    let check = ["ledger", "check", "--ledger", "counts"];
    assert_eq!(unread(&place, &check), Some(0));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xA5; 8], 16).unwrap();
    assert_eq!(unread(&place, &check), Some(1));
    assert_eq!(unread(&place, &[&check[..], &["--json"]].concat()), Some(1));
}

#[test]
fn a_replay_that_could_not_read_a_file_says_so() {
    let place = Place::new();
    assert_eq!(unread(&place, &["replay", "none.json"]), Some(2));
}

#[test]
fn a_key_that_nobody_is_shown_is_no_success() {
    let place = Place::new();
    let create = ["key", "create", "--project", "p1"];
    assert_eq!(unread(&place, &create), Some(2));
}

/// More than a buffer holds, so that it is broken off.
#[test]
fn a_change_that_is_broken_off_is_no_success() {
    let place = Place::new();
    let (id, _) = place.key();
    let ids = vec![&*id; 500];
    let code = unread(&place, &[&["key", "disable"], &ids[..]].concat());
    assert_eq!(code, Some(2));
}

#[test]
fn a_list_has_been_seen_enough_of() {
    let place = Place::new();
    let (id, _) = place.key();
    for arguments in [
        &["config"][..],
        &["man"],
        &["key", "list"],
        &["key", "show", &id],
        &["session", "list"],
    ] {
        assert_eq!(unread(&place, arguments), Some(0), "{arguments:?}");
    }
}
