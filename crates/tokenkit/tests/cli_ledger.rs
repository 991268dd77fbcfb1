//! `tokenkit ledger`: shown, checked, and begun anew without anything lost.
#![cfg(target_os = "linux")]

mod cli_support;

use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cli_support::{Place, json};
use engine::{
    Engine, FailureConfig, KeyId, KeyPolicy, KeyRecord, Limit, Request, SecretKey, ServerSecret,
};

const FILE: &str = "tokenkit-data/tokenkit.ledger";

/// A folder with a ledger where the program looks for it.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("tokenkit-data")).unwrap();
    drop(engine(&place, FailureConfig::default()));
    place
}

/// An engine that uses the ledger.
fn engine(place: &Place, failures: FailureConfig) -> Engine {
    Engine::builder(ServerSecret::from_bytes([7; 32]))
        .failures(failures)
        .max_keys(100)
        .ledger(place.path(FILE))
        .build()
        .unwrap()
}

/// Puts keys in, of a thousand units an hour, and charges each as much as its
/// number says.
fn charge(engine: &Engine, costs: &[u32]) -> Vec<KeyId> {
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let charged = costs.iter().map(|cost| {
        let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        let mut policy = KeyPolicy::new("p1".parse().unwrap());
        policy.hourly_limit = Some(Limit::try_from(1000).unwrap());
        engine
            .insert_keys(vec![record(engine, &key, policy)])
            .unwrap();
        let request = Request::new(ip)
            .api_key(key.expose().as_bytes())
            .cost(*cost);
        assert!(engine.decide(&request).is_allowed());
        key.id()
    });
    charged.collect()
}

fn record(engine: &Engine, key: &SecretKey, policy: KeyPolicy) -> KeyRecord {
    KeyRecord {
        id: key.id(),
        digest: engine.secret().digest_key(key.expose().as_bytes()),
        policy,
    }
}

/// Writes over a part of the ledger.
fn damage(path: &Path, from: u64, bytes: usize) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xA5; bytes], from).unwrap();
}

#[test]
fn a_ledger_is_shown_while_it_is_used() {
    let place = place();
    let engine = engine(&place, FailureConfig::default());
    let ids = charge(&engine, &[5, 700, 0, 41]);
    engine.remove_key(ids[0]).unwrap();
    let guesser: IpAddr = "198.51.100.1".parse().unwrap();
    for _ in 0..10 {
        let guess = engine.decide(&Request::new(guesser).api_key(b"x"));
        assert!(!guess.is_allowed());
    }

    let shown = json(&place.ok(&["ledger", "show", "--json"]));
    assert_eq!(shown["file"], FILE);
    assert_eq!(shown["window_s"], 300);
    assert!(shown["max_addresses"].as_u64().unwrap() >= 65_536);
    assert_eq!(shown["blocked_addresses"], 1);
    assert_eq!(
        (&shown["keys"], &shown["resting_keys"]),
        (&3.into(), &1.into())
    );
    assert_eq!(shown["damage"], serde_json::json!([]));
    let now = engine.clock().now();
    assert!((now - 600..=now).contains(&shown["made_at"].as_u64().unwrap()));
    let used = |id: KeyId, used: u64| serde_json::json!({"id": id.to_string(), "used": used});
    // A key that was removed has used what it has used.
    let all = [used(ids[1], 700), used(ids[3], 41), used(ids[0], 5)];
    assert_eq!(shown["most_used"].as_array().unwrap()[..], all);
    let shown = json(&place.ok(&["ledger", "show", "--json", "--top", "1"]));
    assert_eq!(shown["most_used"].as_array().unwrap()[..], all[..1]);

    let text = place.ok(&["ledger", "show"]);
    for line in [
        format!("file            {FILE}"),
        "window          300 s".into(),
        "keys            3 in use, 1 resting, 0 gone".into(),
        format!("{}  700", ids[1]),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains(", 1 blocked\n"), "{text}");
    assert!(!text.contains("tk_live"), "ids only: {text}");
    assert_eq!(
        place.ok(&["ledger", "check"]),
        format!("{FILE} is whole.\n")
    );
}

#[test]
fn damage_is_told_and_nothing_of_it_is_lost() {
    let place = place();
    let path = place.path(FILE);
    let ids = charge(&engine(&place, FailureConfig::default()), &[5, 6]);
    assert_eq!(ids.len(), 2);
    // All but the header, and the line behind it that says how much is taken.
    let length = std::fs::metadata(&path).unwrap().len();
    damage(&path, 4096, usize::try_from(length).unwrap() - 4096);
    let ran = place.run(&["ledger", "check"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.out.contains("the directory of keys leads"), "{ran:?}");
    assert!(ran.out.contains("ledger reset --keep-hours"), "{ran:?}");
    let ran = place.run(&["ledger", "check", "--json"]);
    assert_eq!(ran.code, Some(1));
    assert!(!json(&ran.out)["damage"].as_array().unwrap().is_empty());
    let shown = place.ok(&["ledger", "show"]);
    assert!(shown.contains("damage          found"), "{shown}");

    damage(&path, 16, 8);
    let ran = place.run(&["ledger", "check"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("the header of the ledger"), "{ran:?}");
    // What it says to do then is what can be done.
    assert!(!ran.out.contains("--keep-hours"), "{ran:?}");
    place.refused(&["ledger", "reset", "--keep-hours"]);
    assert!(place.refused(&["ledger", "show"]).contains("is damaged"));

    let before = std::fs::read(&path).unwrap();
    let renewed = json(&place.ok(&["ledger", "reset", "--json"]));
    let kept = place.path(renewed["kept_as"].as_str().unwrap());
    assert!(
        std::fs::read(kept).unwrap() == before,
        "the old file was changed"
    );
    assert_eq!(
        place.ok(&["ledger", "check"]),
        format!("{FILE} is whole.\n")
    );
    let shown = json(&place.ok(&["ledger", "show", "--json"]));
    assert_eq!(shown["keys"], 0);
}

#[test]
fn a_reset_makes_room_for_other_settings_and_may_keep_the_budgets() {
    let place = place();
    let ids = charge(&engine(&place, FailureConfig::default()), &[5, 700]);
    let wider = [
        "--set",
        "failures.window_s=600",
        "--set",
        "failures.max_addresses=1000",
    ];
    let reset = |more: &[&str]| {
        let said = place.ok(&[&["ledger", "reset"], more, &wider[..]].concat());
        let name = said
            .split("kept as ")
            .nth(1)
            .unwrap()
            .trim_end_matches(".\n");
        (said.clone(), place.path(name))
    };
    let (said, kept) = reset(&["--keep-hours"]);
    assert!(said.contains("with what each key has used"), "{said}");
    let shown = json(&place.ok(&["ledger", "show", "--json"]));
    assert_eq!(shown["window_s"], 600);
    assert!((1000..1007).contains(&shown["max_addresses"].as_u64().unwrap()));
    assert_eq!(shown["most_used"][0]["id"], ids[1].to_string());
    assert_eq!(shown["most_used"][0]["used"], 700);
    // Twice within a second: both are kept.
    let (said, again) = reset(&[]);
    assert!(said.contains("begins anew, empty"), "{said}");
    assert!(kept.exists() && again.exists() && kept != again);
    let shown = json(&place.ok(&["ledger", "show", "--json"]));
    assert_eq!(
        (&shown["keys"], &shown["most_used"]),
        (&0.into(), &serde_json::json!([]))
    );
}

/// Whoever names a ledger for the bill and is wrong is told that nothing of it is
/// on the bill. Before a server has run there is none, and nothing to say.
#[test]
fn usage_says_that_a_ledger_which_is_named_is_not_there() {
    let place = place();
    place.key();
    assert!(place.ok(&["usage"]).starts_with("ID "));
    let ran = place.run(&["usage", "--set", "store.ledger=ngnix.ledger"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.starts_with("ID "), "{ran:?}");
    assert!(
        ran.err
            .starts_with("tokenkit: there is no ledger ngnix.ledger: "),
        "{ran:?}"
    );
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let place = place();
    let used = engine(&place, FailureConfig::default());
    let before = files(&place);
    let why = format!("the ledger {FILE} is in use: stop whoever uses it");
    assert!(place.refused(&["ledger", "reset"]).starts_with(&why));
    drop(used);
    assert_eq!(files(&place), before, "nothing was made");
    for command in ["show", "check", "reset"] {
        let line = place.refused(&["ledger", command, "--ledger", "other"]);
        assert!(line.starts_with("there is no ledger other"), "{line}");
        let line = place.refused(&["ledger", command, "--ledger", "none"]);
        assert!(line.contains("the counters are in memory"), "{line}");
        place.write("text", "x".repeat(10_000));
        let line = place.refused(&["ledger", command, "--ledger", "text"]);
        assert!(line.starts_with("text is no ledger"), "{line}");
        let line = place.refused(&["ledger", command, "--ledger", "."]);
        assert!(line.contains(" .: "), "the cause is missing: {line}");
    }
    // By the setting, too.
    let line = place.refused(&["ledger", "check", "--set", "store.ledger=none"]);
    assert!(line.contains("store.ledger is none"), "{line}");
    let line = place.refused(&["ledger", "check", "--set", "store.file=a/b.db"]);
    assert!(line.starts_with("there is no ledger a/b.ledger"), "{line}");
}

fn files(place: &Place) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(place.path("tokenkit-data")).unwrap();
    let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
