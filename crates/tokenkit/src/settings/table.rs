//! The one table of all settings. The file, the environment, the flags and the
//! text of `tokenkit config` are all made from it, so that none of them can
//! know a setting that another does not.

use super::Settings;
use super::codec::{
    Address, Bad, CIDRS, Codec, Count, Decimal, Flag, HOSTS, ORIGINS, Optional, PREFIXES, Path,
    Realm, number, parsed, seconds,
};
use super::otel::{Collector, Ratio};
use super::routes::Routes;
use super::shadow::Shadow;
use super::value::{SyntaxError, Value};
use super::values::{ForwardedHeader, LedgerPlace, LogFormat, LogLevel, Upstream};

/// One setting.
pub(super) struct Row {
    /// Its name: `section.name`, or a bare name for a list of tables.
    pub(super) name: &'static str,
    /// What it does, in lines of at most 76 characters.
    pub(super) doc: &'static str,
    /// Checks a value and puts it in its place.
    pub(super) set: fn(&mut Settings, &Value) -> Result<(), Bad>,
    /// The value that is in its place.
    pub(super) show: fn(&Settings) -> Value,
    /// The value that the text of a flag or a variable stands for.
    pub(super) of_text: fn(&str) -> Result<Value, SyntaxError>,
}

impl Row {
    /// The section's name; none for a list of tables.
    pub(super) fn section(&self) -> Option<&'static str> {
        self.name.split_once('.').map(|(section, _)| section)
    }

    /// The name within the section.
    pub(super) fn key(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, key)| key)
    }

    /// The environment variable.
    pub(super) fn variable(&self) -> String {
        let mut name = String::from("TOKENKIT_");
        name.extend(self.name.chars().map(|c| {
            if c == '.' {
                '_'
            } else {
                c.to_ascii_uppercase()
            }
        }));
        name
    }
}

/// A row of the table: its name, its place in [`Settings`], its codec, its doc.
macro_rules! rows {
    ($($name:literal, $($place:ident).+, $codec:expr, $doc:literal;)*) => {
        pub(super) static ROWS: &[Row] = &[$(Row {
            name: $name,
            doc: $doc,
            set: |settings, value| {
                settings.$($place).+ = $codec.read(value)?;
                Ok(())
            },
            show: |settings| $codec.show(&settings.$($place).+),
            of_text: |text| $codec.of_text(text),
        }),*];
    };
}

rows! {
    "server.listen", server.listen, Address,
    "Where requests are taken. 0.0.0.0:8080 or [::]:8080 takes them from other\nmachines as well.";

    "server.admin_listen", server.admin_listen, Address,
    "Where the admin pages, the admin API, health and Prometheus metrics are\nserved. Health and metrics are for whoever reaches it: keep it on the loopback\nor a private network.";

    "server.upstream", server.upstream, Optional(parsed::<Upstream>()),
    "The service behind: http://host:port, without a path. Empty: an allowed\nrequest is answered with a small JSON that says what was decided.";

    "server.threads", server.threads, Count(number(0..=1024)),
    "Threads that serve requests. 0: one for each processor.";

    "server.shutdown_grace_s", server.shutdown_grace, seconds(0..=86_400),
    "Seconds that what is under way may go on after SIGTERM.";

    "server.header_timeout_s", server.header_timeout, seconds(1..=3600),
    "Seconds within which a client must have sent a request's headers.";

    "server.idle_timeout_s", server.idle_timeout, seconds(1..=86_400),
    "Seconds that a connection may stay open between two requests.";

    "server.connect_timeout_s", server.connect_timeout, seconds(1..=3600),
    "Seconds that connecting to the upstream may take; then 504.";

    "server.upstream_timeout_s", server.upstream_timeout, seconds(1..=86_400),
    "Seconds until the upstream must have sent its answer's headers; then 504.";

    "server.max_connections", server.max_connections, Count(number(1..=10_000_000)),
    "Client connections open at the same time; more wait.";

    "server.max_connections_per_address", server.max_connections_per_address, Count(number(0..=10_000_000)),
    "Of those, connections of one address, or of one /64 of IPv6; more are ended at\nonce. http.trusted_proxies are not bound by it. 0: half of all.";

    "server.max_header_bytes", server.max_header_bytes, Count(number(8192..=1_048_576)),
    "Bytes that a request's line and headers may take; then 431.";

    "admin.hosts", admin.hosts, HOSTS,
    "Names by which people and proxies may call the admin address, such as\nadmin.example.com, besides localhost and the address itself. Requests for any\nother name are refused: a page elsewhere could have made a browser send them.";

    "admin.metrics_token", admin.metrics_token, Flag,
    "Whether /metrics is shown only to who sends an admin token.";

    "admin.secure_cookie", admin.secure_cookie, Flag,
    "Whether browsers send the cookie of who is signed in by TLS alone: true where\na proxy in front of the admin address adds the TLS.";

    "admin.session_s", admin.session, seconds(60..=2_592_000),
    "Seconds after which who is signed in to the pages has to sign in again. Who\ndoes nothing for half an hour has to before that.";

    "store.data_dir", store.data_dir, Path,
    "The folder of the key store and the server secret, made where it is missing.\nA relative path counts from where tokenkit is started.";

    "store.file", store.file, Optional(Path),
    "The key store. Empty: tokenkit.db in the data folder.";

    "store.secret_file", store.secret_file, Optional(Path),
    "The server secret, under which all keys are digested. Empty: tokenkit.secret\nin the data folder. Back it up apart from the store: without it no key works.";

    "store.ledger", store.ledger, parsed::<LedgerPlace>(),
    "Where units and failures are counted: a file, so that a restart refills no\nbudget and servers of one store share each. Empty: beside the key store (on\nLinux), tokenkit.ledger for tokenkit.db, else its name with .ledger behind\nit. none: in memory. Not on a network file system.";

    "store.lock_timeout_s", store.lock_timeout, seconds(1..=3600),
    "Seconds that a change of keys or sessions waits while another program, such\nas an import, writes the store. At the admin address no more than 10.";

    "keys.prefixes", keys.prefixes, PREFIXES,
    "The prefixes that keys may have; the first is that of new keys.";

    "keys.max_keys", keys.max_keys, number(1..=268_435_456),
    "The most keys that the server holds. 64 bytes of address space are set aside\nfor each, and become memory only where there is a key.";

    "failures.threshold", failures.threshold, number(1..=4095),
    "Attempts with a key that never existed, within the window, that block an\naddress.";

    "failures.window_s", failures.window_s, number(12..=86_400).multiple_of(12),
    "The window, in seconds.";

    "failures.block_s", failures.block_s, number(1..=u32::MAX),
    "Seconds that an address stays blocked.";

    "failures.exempt", failures.exempt, CIDRS,
    "Address blocks (CIDR) that are never counted nor blocked.";

    "failures.max_addresses", failures.max_addresses, number(1..=268_435_456),
    "Addresses whose failures are remembered, 137 bytes each. Under a flood of\naddresses those that matter least are forgotten.";

    "cors.origins", cors.origins, ORIGINS,
    "Browser origins whose pages may read every answer, such as\nhttps://console.example.com or https://*.example.com. A key's own list adds\nto them.";

    "cors.max_age_s", cors.max_age_s, number(0..=86_400),
    "Seconds for which a browser may remember the answer to a preflight.";

    "http.realm", http.realm, Realm,
    "The realm in the challenge of a 401.";

    "http.legacy_headers", http.legacy_headers, Flag,
    "Whether X-RateLimit-* is sent beside RateLimit and RateLimit-Policy.";

    "http.forward_key", http.forward_key, Flag,
    "Whether the api-key header reaches the upstream. It is a secret: leave it\nout unless the upstream needs it.";

    "http.trusted_proxies", http.trusted_proxies, CIDRS,
    "Address blocks (CIDR) of the proxies in front, whose word about the client's\naddress is believed.";

    "http.forwarded_header", http.forwarded_header, parsed::<ForwardedHeader>(),
    "The header in which those proxies say it: x-forwarded-for or forwarded. The\nother, and X-Real-IP, say the same to the upstream, whatever they came with.";

    "log.level", log.level, parsed::<LogLevel>(),
    "The least that is logged: error, warn, info, debug or trace.";

    "log.format", log.format, parsed::<LogFormat>(),
    "The form of a log line: text, or json for programs.";

    "log.access", log.access, Flag,
    "Whether every request is logged.";

    "usage.interval_s", usage.interval, seconds(1..=3600),
    "Seconds between two readings of the counters into the key store, from which\nusage is billed. What a server that was killed had counted since then is in\nthe ledger, and is read when the next starts.";

    "otel.endpoint", otel.endpoint, Optional(parsed::<Collector>()),
    "An OpenTelemetry collector that takes OTLP over HTTP, such as\nhttp://localhost:4318: it is sent one span for each request. Empty: none.";

    "otel.service_name", otel.service_name, parsed::<String>(),
    "What this service is called there.";

    "otel.sample_ratio", otel.sample_ratio, Decimal(parsed::<Ratio>()),
    "How many of the traces are sampled, from 0.0 to 1.0. A trusted proxy that\nsays traceparent decides for its own.";

    "routes", routes, Routes,
    "Which endpoints want a user's bearer token, and what a request costs. The\nfirst route that matches applies; without one no user is wanted and a request\ncosts 1 unit. No methods: any. In a path * stands for one segment, and ** at\nits end for any number of them.";

    "shadow", shadow, Shadow,
    "Refusals that are logged and counted in metrics, but let through: a limit or a\nlist is tried so before it bites. For a key, a project, or all = true:\ndisabled_key, expired_key, origin_denied, ip_denied, bearer_required,\nbearer_invalid, hourly_limit. For all alone, and letting everybody in:\nmissing_key, ip_blocked, malformed_key, unknown_key. A reload is enough.";
}

/// The row of a name.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}
