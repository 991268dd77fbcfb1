//! The programs of `docs/keys.md`, as they stand there, against a server: each
//! is admitted, refused, and waits where waiting helps.
//!
//! One whose language is not installed is passed over, and says so.

mod serve_support;

#[expect(clippy::disallowed_methods, reason = "a program for others to copy")]
#[expect(unreachable_pub, reason = "likewise")]
#[path = "client_examples/client.rs"]
mod client;

use std::process::Command;

use serve_support::{Server, wait_until};

const PAGE: &str = include_str!("../../../docs/keys.md");
const CLIENT: &str = include_str!("client_examples/client.rs");

/// The program of a language.
fn program(language: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("<!-- run: {language} -->\n```"))
        .unwrap();
    let (_, code) = rest.split_once('\n').unwrap();
    code.split_once("\n```\n").unwrap().0
}

/// What a program came to.
#[derive(Debug)]
struct Ran {
    well: bool,
    out: String,
    complaint: String,
}

/// Something that sends one request as the page has it.
struct Client {
    language: &'static str,
    run: Run,
}

/// Runs it against a URL with a key.
type Run = Box<dyn Fn(&str, &str) -> Ran>;

/// All of them that can run here.
fn clients() -> Vec<Client> {
    let interpreted = [
        ("python", &["python3", "-c"][..]),
        ("javascript", &["node", "-e"]),
        ("sh", &["sh", "-c"]),
    ];
    let mut clients = vec![Client {
        language: "rust",
        run: Box::new(|url, key| match client::get(url, key) {
            Ok(out) => Ran {
                well: true,
                out,
                complaint: String::new(),
            },
            Err(error) => Ran {
                well: false,
                out: String::new(),
                complaint: error.to_string(),
            },
        }),
    }];
    for (language, interpreter) in interpreted {
        let needs = if language == "sh" {
            "curl"
        } else {
            interpreter[0]
        };
        if Command::new(needs).arg("--version").output().is_err() {
            eprintln!("skipped: {needs} is not installed");
            continue;
        }
        let run = move |url: &str, key: &str| {
            let mut command = Command::new(interpreter[0]);
            for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
                command.env_remove(variable);
            }
            let output = command
                .args(&interpreter[1..])
                .arg(program(language))
                .env("URL", url)
                .env("API_KEY", key)
                .output()
                .unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Ran {
                well: output.status.success(),
                out: text(output.stdout),
                complaint: text(output.stderr),
            }
        };
        clients.push(Client {
            language,
            run: Box::new(run),
        });
    }
    clients
}

impl Client {
    /// Is admitted, and shows what came.
    fn succeeds(&self, url: &str, key: &str) {
        let ran = (self.run)(url, key);
        assert!(ran.well, "{}: {ran:?}", self.language);
        assert!(
            ran.out.contains("\"allowed\":true"),
            "{}: {ran:?}",
            self.language
        );
    }

    /// Gives up, and says why.
    fn fails(&self, url: &str, key: &str, reason: &str) {
        let ran = (self.run)(url, key);
        assert!(!ran.well, "{}: {ran:?}", self.language);
        // curl shows the body, the others their own words for it.
        let said = format!("{}{}", ran.complaint, ran.out);
        assert!(said.contains(reason), "{}: {ran:?}", self.language);
        assert!(!said.contains(key) || key.is_empty(), "{}", self.language);
    }
}

#[test]
fn the_page_has_the_rust_program_that_is_tested() {
    assert_eq!(program("rust"), CLIENT.trim_end());
}

#[test]
fn each_is_admitted_or_says_why_not() {
    let rest = "[[routes]]\npath = \"/me\"\nneeds_user = true\n[failures]\nthreshold = 1000\n";
    let server = Server::start("", rest);
    let url = format!("http://{}", server.listen);
    let limited = server.json(&["key", "create", "--project", "p", "--limit", "1"]);
    let limited = limited["key"].as_str().unwrap();
    wait_until("the key is known", || {
        server.get_with(limited).status == 200
    });
    let unknown = engine::SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    for client in clients() {
        client.succeeds(&url, server.key());
        client.fails(&url, unknown.expose(), "unknown_key");
        client.fails(&url, "tk_live_typo", "malformed_key");
        client.fails(&format!("{url}/me"), server.key(), "bearer_required");
        // The next hour is too far away to wait for; close to it, it may be
        // waited for.
        let until = 3600 - engine::Clock::System.now() % 3600;
        if until > 60 {
            client.fails(&url, limited, "hourly_limit");
        }
    }
}

#[test]
fn each_waits_for_the_end_of_a_block() {
    for client in clients() {
        let server = Server::start("", "[failures]\nthreshold = 1\nblock_s = 2\n");
        assert_eq!(server.get_with("tk_live_typo").status, 401);
        assert_eq!(server.get("/", "").status, 429, "it is blocked");
        client.succeeds(&format!("http://{}", server.listen), server.key());
    }
}
