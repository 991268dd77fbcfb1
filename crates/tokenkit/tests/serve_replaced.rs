//! The store's file is moved, deleted or replaced while a server has it open:
//! nothing is acknowledged that would lie in a file that nobody opens again. And
//! a backup is put in place as the docs say.
#![cfg(target_os = "linux")]

mod serve_support;

use std::fs;
use std::process::Command;

use serde_json::json;
use serve_support::admin::Admin;
use serve_support::{Server, wait_until};

/// Read out often.
const OFTEN: &str = "[usage]\ninterval_s = 1\n[failures]\nexempt = [\"127.0.0.0/8\"]\n";

#[test]
fn nothing_is_acknowledged_that_lies_in_no_store() {
    let server = Server::start("", OFTEN);
    let admin = Admin::first(&server);
    let (file, aside) = (server.path("data/tokenkit.db"), server.path("data/aside"));
    let made = admin.make("/v1/keys", &json!({ "project": "p" }));
    let see = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    admin.see(&see);
    let units = || server.metric("tokenkit_usage_unsaved_units");

    let refuses = |what: &str| {
        for (line, body) in [
            ("POST /v1/keys", json!({ "project": "p" })),
            (
                "POST /v1/sessions",
                json!({ "project": "p", "user": "ann" }),
            ),
            ("POST /v1/tokens", json!({ "name": "t", "scope": "read" })),
        ] {
            let answer = admin.send(line, "", &body);
            let text = answer.text();
            assert_eq!(answer.status, 503, "{what}: {line}: {text}");
            assert_eq!(answer.problem(), "store_replaced", "{what}: {line}");
            assert!(!text.contains("tk_"), "{what}: {line}: {text}");
        }
        // By connections that were kept, and by new ones.
        for _ in 0..3 {
            let answer = admin.get(&see);
            assert_eq!(
                (answer.status, answer.problem()),
                (503, "store_replaced".into())
            );
        }
        // What is known stays in force, and is counted as not recorded.
        assert_eq!(server.get_with(server.key()).status, 200);
        wait_until("usage is told of as unsaved", || units() > 0);
    };
    fs::rename(&file, &aside).unwrap();
    refuses("moved");
    server.wait_for_log("cannot record what was used");
    let copied = Command::new("cp").args([&aside, &file]).status().unwrap();
    assert!(copied.success());
    refuses("replaced by a copy");

    fs::rename(&aside, &file).unwrap();
    wait_until("it is put back, and goes on", || {
        admin.get(&see).status == 200
    });
    wait_until("changes are made again", || {
        let answer = admin.send("POST /v1/keys", "", &json!({ "project": "p" }));
        [201, 202].contains(&answer.status)
    });
    wait_until("all is recorded", || units() == 0);
    fs::remove_file(&file).unwrap();
    refuses("deleted");
}

/// The commands that restore a backup, as `docs/operating.md` gives them.
fn documented_commands() -> String {
    let docs = include_str!("../../../docs/operating.md");
    let (_, restoring) = docs.split_once("To restore, ").unwrap();
    let (_, commands) = restoring.split_once("```sh\n").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    assert!(commands.contains("tokenkit.db"), "{commands}");
    commands.into()
}

#[test]
fn a_backup_is_restored_by_the_documented_commands_after_a_kill() {
    let server = Server::start("", OFTEN);
    let admin = Admin::first(&server);
    let make = || {
        let made = admin.make("/v1/keys", &json!({ "project": "p" }));
        made["key"].as_str().unwrap().to_owned()
    };
    let kept: Vec<String> = (0..20).map(|_| make()).collect();
    let backup = server.path("data/copy.db");
    let open = rusqlite::Connection::open(server.path("data/tokenkit.db")).unwrap();
    open.execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    drop(open);
    let later: Vec<String> = (0..20).map(|_| make()).collect();
    let folder = server.kill();
    let data = folder.path().join("data");
    let log = fs::metadata(data.join("tokenkit.db-wal")).unwrap();
    assert!(log.len() > 0, "a kill leaves a log");

    let restored = Command::new("sh")
        .args(["-e", "-c", &documented_commands()])
        .current_dir(&data)
        .status()
        .unwrap();
    assert!(restored.success());
    let server = Server::start_in(folder, "", OFTEN);
    for key in &kept {
        assert_eq!(server.get_with(key).status, 200);
    }
    for key in &later {
        assert_eq!(server.get_with(key).status, 401, "it came after the backup");
    }
    let open = rusqlite::Connection::open(server.path("data/tokenkit.db")).unwrap();
    let check: String = open
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
