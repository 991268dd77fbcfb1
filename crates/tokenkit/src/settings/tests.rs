//! Precedence, and what is said about each kind of wrong setting.

use std::path::PathBuf;

use super::sources::{Given, Sources, Variable};
use super::table::ROWS;
use super::{LogFormat, Settings};

struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.toml");
    std::fs::write(&path, text).unwrap();
    File {
        _folder: folder,
        path,
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<Variable> {
    pairs
        .iter()
        .map(|(name, text)| (name.into(), text.into()))
        .collect()
}

fn from_file(text: &str) -> Result<Settings, String> {
    let file = file(text);
    Sources::new(Some(file.path.clone()), Vec::new())
        .read(&[])
        .map_err(|error| {
            error
                .to_string()
                .replace(&file.path.display().to_string(), "FILE")
        })
}

fn from_variable(name: &str, text: &str) -> Result<Settings, String> {
    let empty = file("");
    Sources::new(Some(empty.path.clone()), Vec::new())
        .read(&variables(&[(name, text)]))
        .map_err(|error| error.to_string())
}

#[test]
fn flags_beat_variables_beat_the_file_beat_defaults() {
    let file = file("[server]\nthreads = 1\nidle_timeout_s = 11\nconnect_timeout_s = 12\n");
    let environment = variables(&[
        ("TOKENKIT_SERVER_THREADS", "2"),
        ("TOKENKIT_SERVER_IDLE_TIMEOUT_S", "21"),
    ]);
    let flags = vec![
        Given::flag("threads", "3"),
        Given::set("log.format=json").unwrap(),
    ];
    let read = Sources::new(Some(file.path.clone()), flags)
        .read(&environment)
        .unwrap();
    assert_eq!(read.server.threads, 3);
    assert_eq!(read.server.idle_timeout.as_secs(), 21);
    assert_eq!(read.server.connect_timeout.as_secs(), 12);
    assert_eq!(read.server.header_timeout.as_secs(), 10);
    assert_eq!(read.log.format, LogFormat::Json);
    std::fs::write(&file.path, "[server]\nheader_timeout_s = 1").unwrap();
    let again = read.reread().unwrap();
    assert_eq!(
        (again.server.threads, again.server.header_timeout.as_secs()),
        (3, 1)
    );
}

#[test]
fn settings_written_as_a_file_read_as_themselves() {
    let given = "[server]\nthreads = 3\n[store]\nledger = \"none\"\n\
                 [failures]\nexempt = [\"::1\"]\n[http]\nrealm = \"a b\"\n\
                 [[routes]]\npath = \"/v1/**\"\n[[routes]]\npath = \"/x\"\ncost = 0\n\
                 [[shadow]]\nall = true\nreasons = [\"missing_key\"]\n";
    for given in [given, ""] {
        let read = from_file(given).unwrap();
        let again = from_file(&super::as_file(&read)).unwrap();
        for row in ROWS {
            assert_eq!((row.show)(&read), (row.show)(&again), "{}", row.name);
        }
    }
}

#[test]
fn each_store_has_a_ledger_beside_it_unless_another_is_named() {
    let ledger = |pairs: &[(&'static str, &str)]| {
        let given = pairs.iter().map(|(flag, text)| Given::flag(flag, text));
        let empty = file("");
        let sources = Sources::new(Some(empty.path.clone()), given.collect());
        sources.read(&[]).unwrap().store.ledger()
    };
    let beside = |path: &str| cfg!(target_os = "linux").then(|| PathBuf::from(path));
    assert_eq!(ledger(&[]), beside("tokenkit-data/tokenkit.ledger"));
    assert_eq!(ledger(&[("data-dir", "/x")]), beside("/x/tokenkit.ledger"));
    assert_eq!(ledger(&[("ledger", "none")]), None);
    assert_eq!(ledger(&[("ledger", "a/b")]), Some("a/b".into()));
    let settings = from_file("[store]\nfile = \"/y/keys.db\"").unwrap();
    assert_eq!(settings.store.ledger(), beside("/y/keys.ledger"));
    for (store, wanted) in [
        ("keys.prod", "keys.prod.ledger"),
        ("keys.test", "keys.test.ledger"),
        ("keys", "keys.ledger"),
        ("a.d/.db", "a.d/.db.ledger"),
        ("x.ledger", "x.ledger.ledger"),
    ] {
        let settings = from_file(&format!("[store]\nfile = {store:?}")).unwrap();
        assert_eq!(settings.store.ledger(), beside(wanted));
    }
    let settings = from_variable("TOKENKIT_STORE_LEDGER", "none").unwrap();
    assert_eq!(settings.store.ledger(), None);
}

#[test]
fn the_ledger_is_not_the_store() {
    for (file, ledger) in [("a/keys", "a/keys"), ("x.db", "./x.db")] {
        let text = format!("[store]\nfile = {file:?}\nledger = {ledger:?}");
        let error = from_file(&text).unwrap_err().to_string();
        assert!(
            error.starts_with("the key store and the ledger are both "),
            "{error}"
        );
    }
    from_file("[store]\nfile = \"a/keys\"\nledger = \"keys\"").unwrap();
}

#[test]
fn the_file_is_found_by_flag_or_variable_and_must_be_there_then() {
    let one = file("[server]\nthreads = 1");
    let two = file("[server]\nthreads = 2");
    let variable = variables(&[("TOKENKIT_CONFIG", two.path.to_str().unwrap())]);
    let by_variable = Sources::new(None, Vec::new()).read(&variable).unwrap();
    let by_flag = Sources::new(Some(one.path.clone()), Vec::new())
        .read(&variable)
        .unwrap();
    assert_eq!((by_flag.server.threads, by_variable.server.threads), (1, 2));
    let error = Sources::new(Some("/nowhere/at/all".into()), Vec::new())
        .read(&[])
        .unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/at/all does not exist"),
        "{error}"
    );
    let empty = Sources::new(None, Vec::new())
        .read(&variables(&[("TOKENKIT_CONFIG", "")]))
        .unwrap_err();
    assert!(
        empty.to_string().contains("TOKENKIT_CONFIG is empty"),
        "{empty}"
    );
}

#[test]
fn every_setting_can_be_given_as_a_variable() {
    let given = [
        ("server.listen", "[::1]:1"),
        ("server.admin_listen", "127.0.0.1:0"),
        ("server.upstream", "http://localhost:3000"),
        ("admin.hosts", "admin.example.com, [2001:db8::1]"),
        ("admin.metrics_token", "true"),
        ("admin.secure_cookie", "true"),
        ("admin.session_s", "77"),
        ("store.data_dir", "elsewhere"),
        ("store.file", "a.db"),
        ("store.secret_file", "a.secret"),
        ("keys.prefixes", "one, two"),
        ("failures.exempt", "10.0.0.0/8,::1"),
        ("failures.window_s", "24"),
        ("cors.origins", "https://a.example,null"),
        ("http.realm", "other"),
        ("http.legacy_headers", "false"),
        ("http.forward_key", "true"),
        ("http.trusted_proxies", "127.0.0.1"),
        ("http.forwarded_header", "forwarded"),
        ("log.level", "warn"),
        ("log.format", "json"),
        ("log.access", "true"),
        ("otel.endpoint", "http://localhost:4318"),
        ("otel.sample_ratio", "0.5"),
        ("server.max_header_bytes", "16384"),
        (
            "routes",
            "[{ path = '/v1/**', needs_user = true, cost = 0, methods = ['GET'] }]",
        ),
        ("shadow", "[{ reasons = ['hourly_limit'], project = 'p1' }]"),
    ];
    let defaults = Settings::default();
    for row in ROWS {
        // Whatever is not named above is a number of which 7 is a good one.
        let text = given
            .iter()
            .find(|(name, _)| *name == row.name)
            .map_or("7", |(_, text)| text);
        let read = from_variable(&row.variable(), text)
            .unwrap_or_else(|error| panic!("{}: {error}", row.name));
        let shown = (row.show)(&read);
        assert_ne!(shown, (row.show)(&defaults), "{} is not in force", row.name);
        let others = ROWS.iter().filter(|other| other.name != row.name);
        for other in others {
            assert_eq!(
                (other.show)(&read),
                (other.show)(&defaults),
                "{} changed {}",
                row.name,
                other.name
            );
        }
        // What a setting shows can be read again from a file.
        let text = match row.section() {
            Some(section) => format!("[{section}]\n{} = {shown}", row.key()),
            None => format!("{} = {shown}", row.key()),
        };
        assert_eq!((row.show)(&from_file(&text).unwrap()), shown, "{text}");
    }
}

#[test]
fn unknown_settings_name_the_nearest() {
    for (text, line, meant) in [
        (
            "[server]\n\nlisten = \"127.0.0.1:1\"\nlisten_adress = 1",
            4,
            "server.listen",
        ),
        ("[sever]\nlisten = 1", 1, "server"),
        ("listen = \"127.0.0.1:1\"", 1, "server.listen"),
        ("[failures]\nwindow = 12", 2, "failures.window_s"),
        ("[http]\norigins = []", 2, "cors.origins"),
        ("[[route]]\npath = \"/\"", 1, "routes"),
    ] {
        let error = from_file(text).unwrap_err();
        assert!(
            error.starts_with(&format!("FILE:{line}: there is no setting ")),
            "{error}"
        );
        assert!(error.ends_with(&format!("is {meant} meant?")), "{error}");
    }
    let error = from_variable("TOKENKIT_SERVER_LISTNE", "x").unwrap_err();
    assert_eq!(
        error,
        "TOKENKIT_SERVER_LISTNE: there is no such setting: is TOKENKIT_SERVER_LISTEN meant?"
    );
    let error = from_variable("TOKENKIT_SERVER_PORT", "8080").unwrap_err();
    assert!(error.contains("there is no such setting"), "{error}");
    let flags = vec![Given::set("log.levle=info").unwrap()];
    let empty = file("");
    let error = Sources::new(Some(empty.path.clone()), flags)
        .read(&[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "--set: there is no setting log.levle: is log.level meant?"
    );
}

#[test]
fn what_kubernetes_injects_is_no_setting() {
    for (name, text) in [
        ("TOKENKIT_SERVICE_HOST", "10.0.0.1"),
        ("TOKENKIT_SERVICE_PORT", "80"),
        ("TOKENKIT_SERVICE_PORT_HTTP", "80"),
        ("TOKENKIT_PORT", "tcp://10.0.0.1:80"),
        ("TOKENKIT_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("TOKENKIT_PORT_80_TCP_PROTO", "tcp"),
        ("TOKENKIT_PORT_80_TCP_PORT", "80"),
        ("TOKENKIT_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("TOKENKIT_ADMIN_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("TOKENKIT_ADMIN_SERVICE_HOST", "10.0.0.1"),
    ] {
        assert!(from_variable(name, text).is_ok(), "{name}");
    }
}

#[test]
fn a_wrong_value_names_place_setting_value_and_what_is_wanted() {
    for (text, expected) in [
        (
            "[server]\nlisten = 80",
            "FILE:2: server.listen = 80: an IP address and a port are wanted",
        ),
        (
            "[server]\nlisten = \"localhost\"",
            "FILE:2: server.listen = \"localhost\": an IP address and a port",
        ),
        (
            "[server]\nthreads = -1",
            "FILE:2: server.threads = -1: a whole number from 0 to 1024 is wanted",
        ),
        (
            "[server]\nthreads = 1.5",
            "FILE:2: server.threads = 1.5: a whole number from 0 to 1024",
        ),
        (
            "[server]\nthreads = 99999999999999999999",
            "FILE:2: server.threads = 99999999999999999999: a whole",
        ),
        (
            "[server]\nidle_timeout_s = 0",
            "server.idle_timeout_s = 0: a whole number of seconds from 1 to",
        ),
        (
            "[failures]\n\nwindow_s = 100",
            "FILE:3: failures.window_s = 100: a whole number, a multiple of 12, from",
        ),
        (
            "[failures]\nexempt = [\"10.0.0.1/8\"]",
            "\"10.0.0.1/8\" has bits set behind its prefix: write 10.0.0.0/8",
        ),
        (
            "[failures]\nexempt = \"::1\"",
            "FILE:2: failures.exempt = \"::1\": a list of texts is wanted",
        ),
        (
            "[cors]\norigins = [\"https://a.example/\"]",
            "without a path or a final /",
        ),
        ("[keys]\nprefixes = []", "no key prefix is given"),
        (
            "[keys]\nprefixes = [\"TK\"]",
            "prefix \"TK\" is not of the form",
        ),
        ("[http]\nrealm = \"a\\\"b\"", "FILE:2: http.realm = "),
        (
            "[http]\nforward_key = \"yes\"",
            "http.forward_key = \"yes\": true or false is wanted",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "log.level = \"loud\": one of error, warn, info, debug, trace is wanted",
        ),
        (
            "server = 1",
            "FILE:1: server = 1: a section is wanted: [server]",
        ),
        ("[server]\nlisten = ", "FILE:2: no TOML: "),
        ("[server]\nthreads = 1\nthreads = 2", "FILE:3: no TOML: "),
        (
            "[[routes]]\npath = \"v1\"",
            "FILE:1: routes = { path = \"v1\" }: ",
        ),
        (
            "[[routes]]\npath = \"/\"\n[[routes]]\npath = \"/\"\ncosts = 2",
            "FILE:5: routes = costs: a route has no such member: is cost meant?",
        ),
        (
            "[[routes]]\npath = \"/\"\ncost = -1",
            "FILE:3: routes = -1: a whole number from 0 to",
        ),
        (
            "[[routes]]\npath = \"/\"\nmethods = [\"get\"]",
            "FILE:1: routes = ",
        ),
        (
            "[routes]\npath = \"/\"",
            "tables are wanted: [[routes]] for each",
        ),
        (
            "[[shadow]]\nreasons = [\"hourly_limit\"]",
            "FILE:1: shadow = { reasons = [\"hourly_limit\"] }: one of key = \"ID\", project",
        ),
    ] {
        let error = from_file(text).unwrap_err();
        assert!(
            error.contains(expected),
            "{text}\n  says {error}\n  not  {expected}"
        );
        assert!(!error.contains('\n'));
    }
    let error = from_variable("TOKENKIT_SERVER_THREADS", "many").unwrap_err();
    assert_eq!(
        error,
        "TOKENKIT_SERVER_THREADS: server.threads = \"many\": a whole number from 0 to 1024 is wanted"
    );
}

#[test]
fn an_upstream_is_a_scheme_a_host_and_a_port() {
    let upstream = |text: &str| from_variable("TOKENKIT_SERVER_UPSTREAM", text);
    for good in [
        "http://localhost:3000",
        "http://10.0.0.1",
        "http://[::1]:80",
        "HTTP://a.example:1",
    ] {
        assert!(upstream(good).unwrap().server.upstream.is_some(), "{good}");
    }
    assert!(upstream("").unwrap().server.upstream.is_none());
    for (bad, why) in [
        ("https://a.example", "TLS to the upstream is not spoken"),
        ("ftp://a.example", "the scheme ftp is not spoken"),
        ("a.example:80", "the scheme is missing"),
        ("http://a.example/", "takes none"),
        ("http://a.example/v1", "takes none"),
        ("http://a.example?x=1", "takes none"),
        ("http://a.example#x", "takes none"),
        (
            "http://user:word@a.example",
            "a user or password is not sent",
        ),
        ("http://:80", "the host is missing"),
        ("http://a.example:", "the port is no number"),
        ("http://a.example:0", "the port is no number"),
        ("http://", "no URL"),
        ("http://a.example:99999", "the port is no number"),
    ] {
        let error = upstream(bad).map(|_| ()).unwrap_err();
        assert!(
            error.contains(why) && error.contains("http://host:port is wanted"),
            "{bad}: {error}"
        );
    }
}
