//! Whatever an operator gives wrongly gets one line that says what to do, and
//! exit code 2.

mod cli_support;

use std::net::TcpListener;

use cli_support::Place;

#[test]
fn wrong_flags() {
    let place = Place::new();
    let (id, key) = place.key();
    for (arguments, why) in [
        (
            &["serve", "--listne", "x"][..],
            "unexpected argument '--listne' found; tip: a similar argument exists: '--listen'",
        ),
        (&["sevre"], "unrecognized subcommand 'sevre'"),
        (
            &["key", "create"],
            "the following required arguments were not provided: --project <NAME>",
        ),
        (
            &["key", "create", "--project", ""],
            "--project: \"\" is no name",
        ),
        (
            &["key", "create", "--project", "p", "--name", "a\nb"],
            "--name: \"a\\nb\" is no name for a key",
        ),
        (
            &["key", "create", "--project", "p", "--limit", "many"],
            "--limit: \"many\" is no limit: a whole number",
        ),
        (
            &["key", "create", "--project", "p", "--limit", "68719476735"],
            "--limit: a limit of 68719476735 units",
        ),
        (
            &["key", "create", "--project", "p", "--expires", "soon"],
            "--expires: \"soon\" is no time",
        ),
        (
            &["key", "create", "--project", "p", "--expires", "5"],
            "--expires 5 lies in the past",
        ),
        (
            &[
                "key",
                "create",
                "--project",
                "p",
                "--expires",
                "1790000000000",
            ],
            "--expires: \"1790000000000\" lies beyond",
        ),
        (
            &["key", "create", "--project", "p", "--origin", "*"],
            "--origin: \"*\" is no origin",
        ),
        (
            &["key", "create", "--project", "p", "--ip", "10.0.0.1/8"],
            "--ip: \"10.0.0.1/8\" has bits set",
        ),
        (
            &["key", "create", "--project", "p", "--prefix", "sk"],
            "--prefix sk: it is not among keys.prefixes",
        ),
        (
            &["key", "create", "--project", "p", "--prefix", "S"],
            "--prefix: prefix \"S\" is not of the form",
        ),
        (
            &["key", "list", "--state", "on"],
            "invalid value 'on' for '--state <STATE>'; [possible values: active, disabled",
        ),
        (&["key", "show", "x"], "a key id is 10 characters of"),
        (&["key", "show", &key], "a key id is 10 characters of"),
        (
            &["key", "show", "0000000000"],
            "there is no key 0000000000: `tokenkit key list`",
        ),
        (
            &["key", "revoke", &id, "0000000000"],
            "there is no key 0000000000",
        ),
        (
            &["key", "revoke"],
            "the following required arguments were not provided: <ID>...",
        ),
        (
            &["key", "set", &id],
            "the following required arguments were not provided",
        ),
        (
            &["key", "set", &id, "--limit", "x"],
            "--limit: \"x\" is no limit",
        ),
        (
            &["key", "set", &id, "--expires", "30"],
            "--expires 30 lies in the past: to stop a key now, disable or revoke it",
        ),
        (
            &["key", "set", &id, "--expires", "x"],
            "--expires: \"x\" is no time",
        ),
        (
            &["key", "set", &id, "--origin", "none", "--origin", "null"],
            "--origin: \"none\" is no origin",
        ),
        (
            &["session", "create", "--project", "p"],
            "the following required arguments were not provided: --user <NAME>",
        ),
        (
            &["session", "create", "--project", "p", "--user", " u"],
            "--user: \" u\" is no name",
        ),
        (
            &["session", "end", &key],
            "a session id is the first 10 characters of its token",
        ),
        (
            &["replay"],
            "the following required arguments were not provided: <FILE>...",
        ),
        (
            &["--set", "server.threads", "key", "list"],
            "--set server.threads: NAME=VALUE is wanted",
        ),
        (
            &["--set", "server.treads=1", "key", "list"],
            "--set: there is no setting server.treads: is server.threads meant?",
        ),
        (
            &["serve", "--threads", "many"],
            "--threads: server.threads = \"many\": a whole number from 0 to 1024",
        ),
        (
            &["serve", "--listen", "localhost"],
            "--listen: server.listen = \"localhost\": an IP address and a port",
        ),
        (
            &["serve", "--upstream", "https://a.example"],
            "--upstream: server.upstream = \"https://a.example\": TLS",
        ),
        (
            &["serve", "--log-level", "loud"],
            "--log-level: log.level = \"loud\": one of error, warn, info",
        ),
        (
            &["--config", "none.toml", "serve"],
            "the configuration file none.toml does not exist",
        ),
        // What would be printed is not theirs.
        (
            &["--config", "none.toml", "config"],
            "--config has no say: `tokenkit config` prints the defaults",
        ),
        (
            &["config", "--set", "server.thread=2"],
            "--set has no say: `tokenkit config` prints the defaults",
        ),
        (
            &["replay", "--set", "failures.threshold=2", "none.json"],
            "--set has no say: this command goes by no settings",
        ),
    ] {
        let line = place.refused(arguments);
        assert!(line.starts_with(why), "{arguments:?}: {line}");
        assert!(!line.contains(&key), "{line}");
    }
    assert_eq!(place.show(&id)["state"], "active", "nothing was changed");
}

#[test]
fn wrong_files_and_variables() {
    let place = Place::new();
    place.write("tokenkit.toml", "[server]\nlisten = 1\n");
    for command in [&["serve"][..], &["key", "list"], &["session", "list"]] {
        let line = place.refused(command);
        assert!(
            line.starts_with("tokenkit.toml:2: server.listen = 1: an IP address and a port"),
            "{line}"
        );
    }
    place.write("tokenkit.toml", [0xFF, 0xFE]);
    let line = place.refused(&["serve"]);
    assert!(
        line.starts_with("the configuration file tokenkit.toml cannot be read: "),
        "{line}"
    );
    std::fs::remove_file(place.path("tokenkit.toml")).unwrap();
    for (name, text, why) in [
        (
            "TOKENKIT_SERVER_LISTNE",
            "x",
            "TOKENKIT_SERVER_LISTNE: there is no such setting: is TOKENKIT_SERVER_LISTEN meant?",
        ),
        (
            "TOKENKIT_FAILURES_WINDOW_S",
            "100",
            "TOKENKIT_FAILURES_WINDOW_S: failures.window_s = 100: a whole number, a multiple of 12",
        ),
        (
            "TOKENKIT_CONFIG",
            "none.toml",
            "the configuration file none.toml does not exist",
        ),
    ] {
        let output = place.command(&["serve"]).env(name, text).output().unwrap();
        let line = cli_support::Ran::from(output).refused();
        assert!(line.starts_with(why), "{line}");
    }
}

#[test]
fn a_store_that_is_not_there() {
    let place = Place::new();
    for arguments in [
        &["key", "list"][..],
        &["key", "show", "0000000000"],
        &["key", "revoke", "0000000000"],
        &["key", "export"],
        &["session", "list"],
        &["session", "create", "--project", "p", "--user", "u"],
    ] {
        let line = place.refused(arguments);
        assert!(
            line.starts_with(
                "there is no key store at tokenkit-data/tokenkit.db: `tokenkit serve` or"
            ),
            "{line}"
        );
    }
    assert!(
        !place.path("tokenkit-data").exists(),
        "looking makes nothing"
    );
}

#[test]
fn a_secret_that_is_missing_wrong_or_open_to_others() {
    let place = Place::new();
    place.key();
    let secret = place.path("tokenkit-data/tokenkit.secret");
    let good = std::fs::read(&secret).unwrap();
    let every = [
        &["serve"][..],
        &["key", "create", "--project", "p"],
        &["key", "list"],
        &["session", "list"],
    ];
    let all_say = |why: &str| {
        for arguments in every {
            let arguments = [
                &[
                    "--set",
                    "server.listen=127.0.0.1:0",
                    "--set",
                    "server.admin_listen=127.0.0.1:0",
                ],
                arguments,
            ]
            .concat();
            let run = place.run(&arguments);
            assert_eq!(run.code, Some(2), "{run:?}");
            assert!(run.err.contains(why), "{arguments:?}: {}", run.err);
            assert!(!run.err.contains(std::str::from_utf8(&good).unwrap().trim()));
        }
    };
    std::fs::write(&secret, "abc\n").unwrap();
    all_say("holds no server secret: a file of 64 hexadecimal digits");
    std::fs::write(&secret, "0".repeat(64)).unwrap();
    all_say("was filled under another server secret: put back the secret file");
    std::fs::write(&secret, &good).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |mode| {
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o644);
        all_say("may be read by others (mode 0644): run `chmod 600 ");
        mode(0o600);
    }
    std::fs::remove_file(&secret).unwrap();
    all_say("tokenkit.secret is missing, and without it no key in tokenkit-data/tokenkit.db works");
    assert!(!secret.exists(), "no other secret is made");
}

#[test]
fn a_store_that_is_none_or_anothers_or_damaged() {
    let place = Place::new();
    place.key();
    let file = place.path("tokenkit-data/tokenkit.db");
    let good = std::fs::read(&file).unwrap();
    let line = |why: &str| {
        for arguments in [&["key", "list"][..], &["key", "create", "--project", "p"]] {
            let line = place.refused(arguments);
            assert!(
                line.starts_with("tokenkit-data/tokenkit.db ") && line.contains(why),
                "{line}"
            );
        }
    };
    std::fs::write(&file, "no database\n".repeat(400)).unwrap();
    line("is no SQLite database: name the key store with store.file");
    let mut newer = good.clone();
    // The user_version lies at offset 60 of the header, big-endian.
    newer[60..64].copy_from_slice(&7_u32.to_be_bytes());
    std::fs::write(&file, &newer).unwrap();
    line("was written by a newer tokenkit (its tables have version 7");
    let mut foreign = good.clone();
    // The application_id lies at offset 68.
    foreign[68..72].copy_from_slice(&1_u32.to_be_bytes());
    std::fs::write(&file, &foreign).unwrap();
    line("is a database of another program (application id 1)");
    let mut damaged = good.clone();
    damaged[4096..].fill(0x5A);
    std::fs::write(&file, &damaged).unwrap();
    line("is damaged (");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    line("cannot be used as the key store: ");
}

#[test]
fn a_store_that_another_program_has_locked() {
    let place = Place::new();
    let (id, _) = place.key();
    let secret = store::read_secret_file(&place.path("tokenkit-data/tokenkit.secret")).unwrap();
    let mut store = store::Store::open(&place.path("tokenkit-data/tokenkit.db"), &secret).unwrap();
    let writer = store.write(&store::Actor::system(), 1_790_000_000).unwrap();
    let patience = ["--set", "store.lock_timeout_s=2"];
    let ran = place.run(&[&["key", "revoke", &id], &patience[..]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    let (first, line) = ran.err.split_once('\n').unwrap();
    assert_eq!(
        first,
        "tokenkit: another program is writing the store: waiting for it"
    );
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(
        line.contains("is locked by another program: wait for it or end it"),
        "{line}"
    );
    assert_eq!(
        place.show(&id)["state"],
        "active",
        "looking waits for nobody"
    );
    drop(writer);
    place.ok(&["key", "revoke", &id]);
}

#[test]
fn more_keys_than_the_server_takes() {
    let place = Place::new();
    place.key();
    place.write("small.toml", "[keys]\nmax_keys = 2\n");
    let rows = |n: usize| {
        let mut text = String::from("key,project\n");
        for _ in 0..n {
            let key = engine::SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
            text.push_str(&format!("{},p1\n", key.expose()));
        }
        text
    };
    let too_many =
        |n| format!("{n} keys are more than the 2 that the server takes: raise keys.max_keys");
    let config = ["--config", "small.toml"];
    let run = |arguments: &[&str]| place.refused(&[arguments, &config[..]].concat());
    place.write("two.csv", rows(2));
    assert_eq!(run(&["key", "import", "two.csv"]), too_many(3));
    // Not all is read where it can be no good.
    place.write("many.csv", rows(100));
    assert_eq!(run(&["key", "import", "many.csv"]), too_many(3));
    place.write("one.csv", rows(1));
    place.ok(&[&["key", "import", "one.csv"], &config[..]].concat());
    assert_eq!(run(&["key", "create", "--project", "p1"]), too_many(3));
    // The store itself takes more; then the server does not start.
    place.ok(&["key", "import", "two.csv"]);
    let line = run(&[
        "serve",
        "--set",
        "server.listen=127.0.0.1:0",
        "--set",
        "server.admin_listen=127.0.0.1:0",
    ]);
    assert_eq!(
        line,
        format!("tokenkit-data/tokenkit.db is too full: {}", too_many(4))
    );
}

#[cfg(unix)]
#[test]
fn a_store_that_may_not_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let place = Place::new();
    let (id, _) = place.key();
    let data = place.path("tokenkit-data");
    let secret = data.join("tokenkit.secret");
    // Root may write everything: where the tests run as root, the program runs
    // as nobody, from a place that nobody reaches.
    let is_root = std::fs::metadata(&data).unwrap().uid() == 0;
    let program = place.path("tokenkit");
    if is_root {
        std::fs::copy(env!("CARGO_BIN_EXE_tokenkit"), &program).unwrap();
        for path in [
            place.folder.path(),
            &data,
            &secret,
            &data.join("tokenkit.db"),
        ] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        if is_root {
            command = std::process::Command::new(&program);
            command
                .args(arguments)
                .current_dir(place.folder.path())
                .env_clear()
                .uid(NOBODY)
                .gid(NOBODY);
        }
        cli_support::Ran::from(command.output().unwrap())
    };
    assert_eq!(
        run(&["key", "show", &id]).code,
        Some(0),
        "it works while nothing is withheld"
    );
    let file = data.join("tokenkit.db");
    set(&file, 0o400);
    let revoke = ["key", "revoke", id.as_str()];
    let why = "tokenkit-data/tokenkit.db cannot be written: give this user write access";
    let line = run(&revoke).refused();
    assert!(line.starts_with(why), "{line}");
    set(&file, 0o600);
    set(&data, 0o500);
    let line = run(&revoke).refused();
    assert!(line.starts_with(why), "{line}");
    set(&secret, 0o000);
    let line = run(&revoke).refused();
    assert!(
        line.starts_with("the server secret tokenkit-data/tokenkit.secret cannot be used: "),
        "{line}"
    );
    set(&data, 0o700);
    set(place.folder.path(), 0o500);
    let line = run(&["--data-dir", "other", "key", "create", "--project", "p"]).refused();
    assert!(
        line.starts_with("the folder other cannot be made: "),
        "{line}"
    );
    set(place.folder.path(), 0o700);
}

#[test]
fn a_data_folder_that_is_a_file() {
    let place = Place::new();
    place.write("tokenkit-data", "");
    let line = place.refused(&["key", "create", "--project", "p"]);
    assert!(
        line.starts_with("tokenkit-data") && line.contains("--data-dir"),
        "{line}"
    );
}

#[test]
fn a_port_that_is_taken() {
    let place = Place::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for flag in ["--listen", "--admin-listen"] {
        let other = if flag == "--listen" {
            "--admin-listen"
        } else {
            "--listen"
        };
        let ran = place.run(&["serve", flag, &taken.to_string(), other, "127.0.0.1:0"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let line = ran.err.lines().last().unwrap();
        assert!(
            line.starts_with("tokenkit: ") && line.contains(&taken.to_string()),
            "{line}"
        );
    }
    drop(holder);
    let both = [
        "--listen",
        "127.0.0.1:65000",
        "--admin-listen",
        "127.0.0.1:65000",
    ];
    let line = place.refused(&[&["serve"][..], &both].concat());
    assert_eq!(
        line,
        "server.listen and server.admin_listen are both 127.0.0.1:65000: choose another address \
         for one"
    );
    assert!(!place.path("tokenkit-data").exists(), "nothing was begun");
}
