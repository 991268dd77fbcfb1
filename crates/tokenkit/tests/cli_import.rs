//! `tokenkit key import` and `export`.

mod cli_support;

use cli_support::Place;
use engine::SecretKey;
use serde_json::json as value;

/// A key made elsewhere.
fn raw() -> SecretKey {
    SecretKey::generate(&"tk_live".parse().unwrap()).unwrap()
}

#[test]
fn csv_and_json_lines_bring_the_same_keys() {
    for format in ["csv", "jsonl"] {
        let place = Place::new();
        let (plain, full) = (raw(), raw());
        let (name, text) = if format == "csv" {
            let rows = format!(
                "project,key,name,hourly_limit,expires_at,require_origin,origins,ips,state\n\
                 p1,{},,,,,,,\n\
                 p2,{},\"a, b\",7,2100-01-01T00:00:00Z,true,https://a.example;null,10.0.0.0/8 ::1,disabled\n",
                plain.expose(),
                full.expose()
            );
            ("keys.csv", rows)
        } else {
            let full = value!({
                "project": "p2", "key": full.expose(), "name": "a, b", "hourly_limit": 7,
                "expires_at": 4_102_444_800_u64, "require_origin": true, "origins": ["https://a.example", "null"],
                "ips": ["10.0.0.0/8", "::1"], "state": "disabled",
            });
            let plain = value!({"project": "p1", "key": plain.expose(), "expires_at": null});
            ("keys.ndjson", format!("{plain}\n\n{full}\n"))
        };
        place.write(name, text);
        assert_eq!(place.ok(&["key", "import", name]), "Imported 2 keys.\n");
        let shown = place.show(&plain.id().to_string());
        assert_eq!(
            (&shown["project"], &shown["state"], &shown["hourly_limit"]),
            (&"p1".into(), &"active".into(), &value!(null))
        );
        let mut shown = place.show(&full.id().to_string());
        shown["created_at"].take();
        assert_eq!(
            shown,
            value!({
                "id": full.id().to_string(), "prefix": "tk_live", "project": "p2", "name": "a, b",
                "state": "disabled", "hourly_limit": 7, "expires_at": 4_102_444_800_u64, "require_origin": true,
                "origins": ["https://a.example", "null"], "ips": ["10.0.0.0/8", "::1/128"], "created_at": null,
                "revoked_at": null,
                "revoked_reason": null,
                "replaces": null,
            }),
            "{format}"
        );
    }
}

#[test]
fn an_imported_key_has_the_digest_that_the_server_looks_for() {
    let place = Place::new();
    let key = raw();
    let ran = place.run_with(
        &["key", "import", "-", "--format", "csv"],
        &format!("key,project\n{},p1\n", key.expose()),
    );
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "Imported 1 keys.\n"),
        "{ran:?}"
    );
    let secret = store::read_secret_file(&place.path("tokenkit-data/tokenkit.secret")).unwrap();
    let store = store::Store::open(&place.path("tokenkit-data/tokenkit.db"), &secret).unwrap();
    assert!(
        store.key(key.id()).unwrap().record.digest == secret.digest_key(key.expose().as_bytes())
    );
}

/// Keys that have what no command line gives them, as JSON lines.
fn more(replaced: &str) -> String {
    let successor = value!({
        "key": raw().expose(), "project": "p1", "state": "disabled",
        "expires_at": 4_102_444_800_u64, "replaces": replaced,
    });
    let leaked = value!({
        "key": raw().expose(), "project": "p1", "state": "revoked",
        "revoked_reason": " in a log ",
    });
    format!("{successor}\n{leaked}\n")
}

#[test]
fn what_is_exported_with_digests_goes_into_another_store_unchanged() {
    for format in ["csv", "jsonl"] {
        let place = Place::new();
        let (one, _) = place.key();
        let (two, _) = place.key();
        place.ok(&[
            "key", "set", &one, "--limit", "3", "--origin", "null", "--ip", "::1", "--name",
            "a \"b\"",
        ]);
        place.ok(&["key", "revoke", &two]);
        // As people write them, outer blanks and all.
        place.ok(&["key", "create", "--project", "p1", "--name", "  for\u{a0}"]);
        place.write("more.jsonl", more(&one));
        assert_eq!(
            place.ok(&["key", "import", "more.jsonl"]),
            "Imported 2 keys.\n"
        );
        let export = ["key", "export", "--with-digests", "--format", format];
        let exported = place.ok(&export);
        let file = format!("keys.{format}");
        place.write(&file, &exported);
        // Another store under the same secret.
        let other = [
            "--set",
            "store.file=other.db",
            "--set",
            "store.secret_file=tokenkit-data/tokenkit.secret",
        ];
        assert_eq!(
            place.ok(&[&other[..], &["key", "import", &file]].concat()),
            "Imported 5 keys.\n"
        );
        assert_eq!(place.ok(&[&other[..], &export].concat()), exported);
        assert!(exported.contains("  for\u{a0}") && exported.contains(" in a log "));
        // Without digests it says what is missing.
        let bare = place.ok(&["key", "export", "--format", format]);
        assert!(!bare.contains("digest"));
        place.write(&file, bare);
        let ran = place.run(&["key", "import", &file]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.err
                .contains("the digest is missing: export with --with-digests"),
            "{}",
            ran.err
        );
    }
}

/// A secret that is made anew fits no digest: such keys would be imported and
/// none of them would work.
#[test]
fn digests_are_refused_where_the_secret_would_be_made_for_them() {
    for format in ["csv", "jsonl"] {
        let place = Place::new();
        place.key();
        let exported = place.ok(&["key", "export", "--with-digests", "--format", format]);
        let file = format!("keys.{format}");
        place.write(&file, exported);
        let import = ["key", "import", &file, "--data-dir", "elsewhere"];
        // Nothing is left behind that would make it look right the next time.
        for _ in 0..2 {
            let line = place.refused(&import);
            assert!(
                line.starts_with("the digests are of another server secret"),
                "{line}"
            );
            assert!(
                line.ends_with("exported from at elsewhere/tokenkit.secret"),
                "{line}"
            );
        }
        assert!(!place.path("elsewhere").exists());
        std::fs::create_dir(place.path("elsewhere")).unwrap();
        let secret =
            ["tokenkit-data", "elsewhere"].map(|at| place.path(at).join("tokenkit.secret"));
        std::fs::copy(&secret[0], &secret[1]).unwrap();
        assert_eq!(place.ok(&import), "Imported 1 keys.\n");
    }
}

#[test]
fn exports_are_filtered_by_project() {
    let place = Place::new();
    place.key();
    place.ok(&["key", "create", "--project", "p2"]);
    assert_eq!(
        place
            .ok(&["key", "export", "--project", "p2"])
            .lines()
            .count(),
        2
    );
}

/// Bad rows of CSV, and what is said about each.
fn bad_rows() -> Vec<(String, &'static str)> {
    let good = raw();
    let key = good.expose();
    let mut misspelt = key.to_owned();
    let last = misspelt.pop().unwrap();
    misspelt.push(if last == '0' { '1' } else { '0' });
    let other = SecretKey::generate(&"other".parse().unwrap()).unwrap();
    let row = |key: &str, rest: &str| format!("{key},{rest}");
    vec![
        (row(&misspelt, "p1,,,,,,"), "key: not a key"),
        (row("", "p1,,,,,,"), "the key is missing"),
        (
            row(other.expose(), "p1,,,,,,"),
            "the prefix other is not among keys.prefixes",
        ),
        (row(key, ",,,,,,"), "the project is missing"),
        (row(key, "é,,,,,,"), "project: \"é\" is no name"),
        (row(key, "p1,-1,,,,,"), "hourly_limit: \"-1\" is no limit"),
        (
            row(key, "p1,68719476735,,,,,"),
            "hourly_limit: a limit of 68719476735 units",
        ),
        (row(key, "p1,,soon,,,,"), "expires_at: \"soon\" is no time"),
        (
            row(key, "p1,,,yes,,,"),
            "require_origin: \"yes\" is neither true nor false",
        ),
        (
            row(key, "p1,,,,https://a.example/,,"),
            "origins: \"https://a.example/\" is no origin",
        ),
        (
            row(key, "p1,,,,,10.0.0.1/8,"),
            "ips: \"10.0.0.1/8\" has bits set behind its prefix",
        ),
        (
            row(key, "p1,,,,;,,"),
            "origins: nothing is listed: write what the key is restricted to, or leave it empty",
        ),
        (row(key, "p1,,,,,\" \",active"), "ips: nothing is listed"),
        (row(key, "p1,,,,,,on"), "state: \"on\" is no state"),
        (
            row(key, "p1"),
            "it has 2 cells, but the first line names 8 columns",
        ),
        (row("", &format!("{key},,,,,,")), "the key is missing"),
        (row(&key[..40], "p1,,,,,,"), "key: not a key"),
    ]
}

#[test]
fn a_bad_row_is_named_by_its_line_and_nothing_is_imported() {
    let head = "key,project,hourly_limit,expires_at,require_origin,origins,ips,state\n";
    for (row, why) in bad_rows() {
        let place = Place::new();
        let (before, after) = (raw(), raw());
        // A quoted line break makes two lines of a row.
        let text = format!(
            "{head}{},\"p\n1\",,,,,,\n{},p1,,,,,,\n{row}\n{},p1,,,,,,\n",
            raw().expose(),
            before.expose(),
            after.expose()
        );
        place.write("keys.csv", text);
        let ran = place.run(&["key", "import", "keys.csv"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines.len(), 3, "{}", ran.err);
        assert!(
            lines[0].starts_with("tokenkit: keys.csv:2: project: "),
            "{}",
            ran.err
        );
        assert!(
            lines[1].starts_with(&format!("tokenkit: keys.csv:5: {why}")),
            "{}\n{why}",
            ran.err
        );
        assert!(
            lines[2].starts_with("tokenkit: nothing was imported: 2 of 4 rows are bad"),
            "{}",
            ran.err
        );
        let longest = ran
            .err
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map(str::len)
            .max();
        assert!(
            longest < Some(24),
            "something like a secret is shown: {}",
            ran.err
        );
        assert_eq!(place.ok(&["key", "list", "--json"]), "[]\n");
    }
}

#[test]
fn with_keep_going_the_good_rows_are_taken() {
    let place = Place::new();
    let (one, two) = (raw(), raw());
    place.write(
        "keys.csv",
        format!(
            "key,project\n{},p1\nnonsense,p1\n{},p1\n{},p2\n",
            one.expose(),
            two.expose(),
            one.expose()
        ),
    );
    let ran = place.run(&["key", "import", "--keep-going", "keys.csv"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(1), "Imported 2 keys.\nLeft out 2 bad rows.\n")
    );
    assert!(
        ran.err.contains("keys.csv:3: key: not a key"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(&format!(
            "keys.csv:5: a key with the id {} is in the store",
            one.id()
        )),
        "{}",
        ran.err
    );
    assert_eq!(place.show(&one.id().to_string())["project"], "p1");
    // The same file again has no good row; a good one again is no second key.
    let ran = place.run(&["key", "import", "--keep-going", "keys.csv"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(1), "Imported 0 keys.\nLeft out 4 bad rows.\n")
    );
}

#[test]
fn bad_json_lines_are_named() {
    let key = raw();
    let key = key.expose();
    for (line, why) in [
        (format!("{{\"key\": \"{key}\""), "it is no JSON: "),
        (format!("\"{key}\""), "a JSON object is wanted"),
        (
            format!("{{\"key\": \"{key}\", \"projct\": \"p1\"}}"),
            "there is no member \"projct\": is project meant?",
        ),
        (
            format!("{{\"{key}\": 1}}"),
            "there is no member \"[hidden]\"",
        ),
        (
            format!("{{\"key\": \"{key}\", \"key\": \"{key}\"}}"),
            "the member key stands there twice",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": {{}}}}"),
            "project: a text, a number, true, false or null",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": [\"p1\"]}}"),
            "project: a text, a number, true, false or null",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": \"p1\", \"ips\": [1]}}"),
            "ips: a list of texts is wanted",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": \"p1\", \"ips\": [\"\"]}}"),
            "ips: nothing is listed",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": \"p1\", \"origins\": [\" \"]}}"),
            "origins: nothing is listed",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": \"p1\", \"hourly_limit\": 1.5}}"),
            "hourly_limit: \"1.5\" is no limit",
        ),
        (
            format!("{{\"key\": \"{key}\", \"id\": \"0123456789\", \"project\": \"p1\"}}"),
            "beside a key neither id",
        ),
        (
            format!(
                "{{\"digest\": \"{}\", \"project\": \"p1\"}}",
                "0".repeat(64)
            ),
            "beside a digest an id and a prefix",
        ),
        (
            "{\"digest\": \"00\", \"project\": \"p1\"}".into(),
            "digest: 64 hexadecimal digits are wanted",
        ),
        (
            format!("{{\"key\": \"{key}\", \"project\": \"p1\", \"revoked_at\": 1}}"),
            "revoked_at: only a key whose state",
        ),
    ] {
        let place = Place::new();
        place.write("keys.jsonl", format!("\n{line}\n"));
        let ran = place.run(&["key", "import", "keys.jsonl"]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(1), ""),
            "{line}: {ran:?}"
        );
        assert!(
            ran.err
                .starts_with(&format!("tokenkit: keys.jsonl:2: {why}")),
            "{}\n{why}",
            ran.err
        );
        assert!(!ran.err.contains(&key[18..50]), "{}", ran.err);
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_row() {
    for name in ["keys.csv", "keys.jsonl"] {
        let place = Place::new();
        let key = raw();
        let key = key.expose();
        place.write(
            name,
            match name {
                "keys.csv" => format!("\u{feff}key,project\n{key},p1\n"),
                _ => format!("\u{feff}{{\"key\": \"{key}\", \"project\": \"p1\"}}\n"),
            },
        );
        let ran = place.run(&["key", "import", name]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(0), "Imported 1 keys.\n"),
            "{name}: {ran:?}"
        );
    }
    // Elsewhere it is none.
    let place = Place::new();
    place.write("keys.jsonl", "\n\u{feff}{}\n");
    let ran = place.run(&["key", "import", "keys.jsonl"]);
    assert!(ran.err.contains("keys.jsonl:2: it is no JSON"), "{ran:?}");
}

#[test]
fn a_wrong_file_is_an_operators_error() {
    let place = Place::new();
    let key = raw();
    place.write("keys.txt", "");
    assert!(
        place
            .refused(&["key", "import", "keys.txt"])
            .contains("say --format csv or --format jsonl")
    );
    assert!(
        place
            .refused(&["key", "import", "none.csv"])
            .starts_with("none.csv cannot be read: ")
    );
    std::fs::create_dir(place.path("a.csv")).unwrap();
    assert!(
        place
            .refused(&["key", "import", "a.csv"])
            .starts_with("a.csv is a folder")
    );
    for (text, why) in [
        (
            "key,projekt\n".to_owned(),
            "keys.csv:1: there is no column \"projekt\": is project meant?",
        ),
        (
            format!("{}\n", key.expose()),
            "keys.csv:1: there is no column \"[hidden]\"",
        ),
        (
            "key,key\n".to_owned(),
            "keys.csv:1: the column key stands there twice",
        ),
    ] {
        place.write("keys.csv", text);
        let line = place.refused(&["key", "import", "keys.csv"]);
        assert!(line.starts_with(why), "{line}");
    }
    place.write("long.jsonl", " ".repeat(2 << 20));
    let line = place.refused(&["key", "import", "long.jsonl"]);
    assert!(
        line.starts_with("long.jsonl:1: the line is longer than 1048576 bytes"),
        "{line}"
    );
}

#[test]
fn a_row_without_end_is_not_read_to_its_end() {
    use std::io::Write;
    use std::process::Stdio;
    let place = Place::new();
    let good = raw();
    for (begin, line) in [
        (format!("key,project\n{},p1\n\"", good.expose()), 3),
        ("key,project\n".to_owned(), 2),
        (String::new(), 1),
    ] {
        let mut import = place
            .command(&["key", "import", "--format", "csv", "--keep-going", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = import.stdin.take().unwrap();
        input.write_all(begin.as_bytes()).unwrap();
        let mebibyte = "x".repeat(1 << 20);
        let taken = (0..32).take_while(|_| input.write_all(mebibyte.as_bytes()).is_ok());
        let taken = taken.count();
        drop(input);
        let ran = cli_support::Ran::from(import.wait_with_output().unwrap());
        assert!(taken < 3, "{taken} MiB of one row were read: {ran:?}");
        assert_eq!(
            ran.refused(),
            format!(
                "standard input:{line}: the row is longer than 1048576 bytes: is a quote missing?"
            )
        );
        assert_eq!(place.ok(&["key", "list", "--json"]), "[]\n");
    }
    // A long one that ends is a row like others.
    let long = format!("key,project\n\"{}\",p1\n", "x".repeat((1 << 20) - 10));
    place.write("keys.csv", format!("{long}{},p1\n", good.expose()));
    let ran = place.run(&["key", "import", "--keep-going", "keys.csv"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(1), "Imported 1 keys.\nLeft out 1 bad rows.\n"),
    );
}

#[test]
fn an_import_under_way_holds_up_nobody() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let place = Place::new();
    let (id, _) = place.key();
    let imported = raw();
    let mut import = place
        .command(&["key", "import", "--format", "csv", "--keep-going", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = import.stdin.take().unwrap();
    write!(rows, "key,project\n{},p1\nnonsense,p1\n", imported.expose()).unwrap();
    // What it reads is held back in pieces of a buffer's size.
    let padding = format!("nonsense,{}\n", "p".repeat(1000));
    rows.write_all(padding.repeat(20).as_bytes()).unwrap();
    let mut complaints = BufReader::new(import.stderr.take().unwrap()).lines();
    let first = complaints.next().unwrap().unwrap();
    assert!(
        first.contains("standard input:3: key: not a key"),
        "{first}"
    );

    // It has begun, and its end is not written yet.
    let quick = ["--set", "store.lock_timeout_s=1"];
    place.ok(&[&["key", "revoke", &id], &quick[..]].concat());
    assert_eq!(place.show(&id)["state"], "revoked");
    let listed = place.ok(&["key", "list", "--json"]);
    assert!(!listed.contains(&imported.id().to_string()));

    drop(rows);
    for line in complaints {
        line.unwrap();
    }
    assert_eq!(import.wait().unwrap().code(), Some(1));
    assert_eq!(place.show(&imported.id().to_string())["state"], "active");
}

#[test]
fn of_many_bad_rows_the_first_hundred_are_shown() {
    let place = Place::new();
    place.write("keys.csv", format!("key,project\n{}", "x,p1\n".repeat(250)));
    let ran = place.run(&["key", "import", "keys.csv"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.err.lines().count(), 102);
    assert!(
        ran.err.contains("tokenkit: 150 more rows are bad\n"),
        "{}",
        ran.err
    );
}
